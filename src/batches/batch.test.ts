import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  accepted,
  type Batch,
  batchOfDocument,
  built,
  cancelled,
  closing,
  documentOfBatch,
  ended,
  isUnfinished,
  newBatch,
  refused,
} from './batch.ts'

const NEW = newBatch(
  'batch_1',
  { orgId: 'org_a', keyId: 'key_a' },
  { endpoint: '/v1/embeddings', inputFileId: 'file-1', metadata: { a: 'b' }, outputExpiresAfterS: null },
  1000,
)
const RESULT = {
  ...{ outputFileId: 'file-2', errorFileId: null, completed: 2, failed: 0 },
  usage: { inputTokens: 1, cachedInputTokens: 0, outputTokens: 1, reasoningTokens: 0 },
}
const RUNNING = accepted(NEW, { lines: 2, model: 'm' }, 2000)
const CLOSING = closing(RUNNING, 'completed', null, 3000)

/** The statuses that a batch went through, with their times. */
function path(batch: Batch): string {
  return [...Object.entries(batch.times).map(([status, ms]) => `${status}@${ms}`), batch.status].join(' ')
}

test('a batch goes its way from validating to its end, each step with its time', () => {
  assert.equal(NEW.status, 'validating')
  assert.equal(NEW.expiresMs - NEW.createdMs, 86_400_000)
  assert.equal(path(ended(built(CLOSING, RESULT), 4000)), 'in_progress@2000 finalizing@3000 completed@4000 completed')
  const late = closing(RUNNING, 'expired', { code: 'batch_expired', message: '' }, 3000)
  assert.equal(path(ended(built(late, RESULT), 4000)), 'in_progress@2000 finalizing@3000 expired@4000 expired')
  assert.equal(path(refused(NEW, [], 2000)), 'failed@2000 failed')
  assert.equal(path(ended(cancelled(NEW, 2000), 3000)), 'cancelling@2000 cancelled@3000 cancelled')
  assert.equal(
    path(ended(built(cancelled(RUNNING, 3000), RESULT), 4000)),
    'in_progress@2000 cancelling@3000 cancelled@4000 cancelled',
  )
})

test('a batch is cancelled until it is finalizing, and once is enough', () => {
  const cancelling = cancelled(RUNNING, 3000)
  assert.equal(cancelled(cancelling, 9000), cancelling)
  const over = ended(built(cancelling, RESULT), 4000)
  assert.equal(cancelled(over, 9000), over)
  for (const late of [CLOSING, ended(built(CLOSING, RESULT), 1), refused(NEW, [], 1)])
    assert.throws(() => cancelled(late, 9000), { code: 'conflict', status: 409 })
})

test('no step is left out', () => {
  assert.throws(() => ended(NEW, 1), /outcome/)
  assert.throws(() => closing(NEW, 'completed', null, 1), /goes from validating/)
  assert.throws(() => accepted(RUNNING, { lines: 1, model: null }, 1), /goes from in_progress/)
  assert.throws(() => built(RUNNING, RESULT), /is in_progress/)
})

test('a batch is kept whole, for a year after its end', () => {
  const over = ended(built(CLOSING, RESULT), 4000)
  for (const batch of [NEW, RUNNING, CLOSING, cancelled(NEW, 5), refused(NEW, [], 7), over])
    assert.deepEqual(batchOfDocument(documentOfBatch(batch)), batch)
  assert.equal(documentOfBatch(CLOSING).expiresMs, null)
  assert.equal(documentOfBatch(CLOSING).state, 'finalizing')
  assert.equal(documentOfBatch(over).expiresMs, 4000 + 365 * 86_400_000)
  assert.deepEqual([isUnfinished(CLOSING), isUnfinished(over)], [true, false])
})
