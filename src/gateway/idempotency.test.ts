import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../errors.ts'
import type { StoredAnswer } from '../ledger/stored-answer.ts'
import { Transcript } from '../simulation/transcript.ts'
import type { ClientPort } from './client-port.ts'
import { Idempotency, type Once } from './idempotency.ts'

const NOW_MS = 1_000_000
const KEEP_MS = 60_000
const BODY = Buffer.from('{"model":"m"}')
const NOBODY: ClientPort = {
  ...{ gone: true, headSent: false, onGone: null, onDrain: null },
  ...{ head: () => undefined, write: () => true, end: () => undefined },
}

class Shelf {
  readonly answers = new Map<string, StoredAnswer>()
  lookups = 0
  readonly idempotency = new Idempotency({
    find: async keyHash => {
      this.lookups++
      return this.answers.get(keyHash) ?? null
    },
    keepMs: KEEP_MS,
    answerBytesMax: 100,
  })

  begin(key: string | string[], { apiKey = 'key_a', body = BODY, nowMs = NOW_MS } = {}): Promise<Once> {
    return this.idempotency.begin(key, apiKey, 'openai-chat', body, nowMs)
  }

  /** A request from beginning to end, whose answer is stored. */
  async serve(key: string): Promise<StoredAnswer> {
    const once = await this.begin(key)
    assert.equal(once.stored, null)
    const client = once.record(NOBODY)
    client.head(200, { 'content-type': 'text/event-stream', 'content-length': 3, 'x-request-id': 'req_1' })
    client.write('data: "ä"\n\n')
    client.write(Buffer.from(': keep-alive\n\n'))
    const stored = once.answer('req_1', {}, Buffer.from('data: [DONE]\n\n'), NOW_MS) as StoredAnswer
    this.answers.set(stored.keyHash, stored)
    once.end()
    return stored
  }
}

function refused(code: string): (error: unknown) => boolean {
  return error => error instanceof ApiError && error.code === code
}

test('what is a key', async () => {
  const check = async (key: string | string[], good: boolean) => {
    const begun = new Shelf().begin(key)
    if (good) assert.equal((await begun).stored, null)
    else await assert.rejects(begun, refused('invalid_value'), JSON.stringify(key))
  }
  await check('a', true)
  await check('"8e03978e-40d5-43dd-bc93-6894a57f9324"', true)
  await check('~'.repeat(255), true)
  await check('', false)
  await check('~'.repeat(256), false)
  await check('two words', false)
  await check('schlüssel', false)
  // Node joins a header that was sent twice.
  await check('a, b', false)
  await check(['a', 'b'], false)
})

test('an answer is recorded as it was sent, but for what belongs to the connection', async () => {
  const stored = await new Shelf().serve('k')
  assert.equal(Buffer.from(stored.body).toString(), 'data: "ä"\n\n: keep-alive\n\ndata: [DONE]\n\n')
  assert.deepEqual(stored.headers, { 'content-type': 'text/event-stream', 'x-request-id': 'req_1' })
  assert.equal(stored.expiresMs, NOW_MS + KEEP_MS)
  assert.doesNotMatch(JSON.stringify(stored), /"k"|key_a/)
})

test('a repetition finds the answer until it is over; another key, API key or body does not', async () => {
  const shelf = new Shelf()
  const stored = await shelf.serve('k')
  const again = await shelf.begin('k')
  assert.deepEqual(again.stored, stored)
  again.end()
  await assert.rejects(shelf.begin('k', { body: Buffer.from('{"model":"n"}') }), refused('idempotency_key_reused'))
  assert.equal((await shelf.begin('K')).stored, null)
  assert.equal((await shelf.begin('k', { apiKey: 'key_b' })).stored, null)
  const last = await shelf.begin('k', { nowMs: stored.expiresMs - 1 })
  assert.deepEqual(last.stored, stored)
  last.end()
  // Over: also another request may have the key then.
  const after = await shelf.begin('k', { nowMs: stored.expiresMs, body: Buffer.from('{"model":"n"}') })
  assert.equal(after.stored, null)
})

test('while one has the key others are refused, and it is free again after the end and after a look-up that failed', async () => {
  const shelf = new Shelf()
  const first = shelf.begin('k')
  await assert.rejects(shelf.begin('k'), refused('idempotency_in_progress'))
  await assert.rejects(shelf.begin('k', { body: Buffer.from('{}') }), refused('idempotency_key_reused'))
  assert.equal(shelf.lookups, 1)
  const once = await first
  once.end()
  const broken = new Idempotency({
    find: () => Promise.reject(new Error('the disk cannot be read')),
    keepMs: KEEP_MS,
    answerBytesMax: 1,
  })
  for (let times = 0; times < 2; times++)
    await assert.rejects(broken.begin('k', 'key_a', 'openai-chat', BODY, NOW_MS), /cannot be read/)
  const next = await shelf.begin('k')
  assert.equal(next.stored, null)
})

test('an answer beyond the bound is passed on and not kept', async () => {
  const once = await new Shelf().begin('k')
  const transcript = new Transcript(false, 1, () => undefined)
  const client = once.record({
    ...NOBODY,
    head: status => transcript.head(status),
    write(text) {
      transcript.body(String(text))
      return true
    },
  })
  client.head(200, {})
  client.write('x'.repeat(60))
  assert.deepEqual([once.fits(40), once.fits(41)], [true, false])
  client.write('y'.repeat(41))
  assert.equal(once.fits(0), false)
  assert.equal(transcript.raw.length, 101)
})
