import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Caller } from '../admission/authenticate.ts'
import type { ApiError } from '../errors.ts'
import { DEEPINFRA_INFERENCE } from '../protocols/deepinfra-inference/codec.ts'
import { DetachedRuns, type ResultSender } from './detached-runs.ts'
import type { Incoming } from './incoming.ts'

const caller = { org: { id: 'org' }, key: { id: 'key' } } as Caller
const BODY = Buffer.from(JSON.stringify({ input: 'x'.repeat(900), webhook: 'https://example.com/' }))

/** Runs that wait for `gate`, and the codes of what was refused. */
function stage(expect: ResultSender['expect'], askedBytesMax?: number) {
  const refused: unknown[] = []
  const sent: string[] = []
  const gate = Promise.withResolvers<void>()
  const runs = new DetachedRuns({
    pipeline: {
      async serve(_codec, { body, detach, requestId }) {
        await body()
        try {
          await detach?.({ request: {}, caller, model: {}, admittedMs: 0 } as never)
        } catch (error) {
          refused.push((error as ApiError).code)
          return
        }
        await gate.promise
        sent.push(requestId)
      },
    },
    sender: {
      ...{ check: () => undefined, expect, deliver: () => undefined, fail: async () => undefined },
      document: () => assert.fail('nothing was answered'),
    },
    ...(askedBytesMax !== undefined && { askedBytesMax }),
  })
  const client = { head: () => undefined, end: () => undefined }
  const ask = (requestId: string) =>
    runs.serve(DEEPINFRA_INFERENCE, {
      ...{ headers: {}, body: async () => BODY, client, surface: 'deepinfra', requestId },
    } as unknown as Incoming)
  return { refused, sent, gate, ask }
}

test('what runs for webhooks is bounded by the length of all bodies, and each gives its place back', async () => {
  const { refused, sent, gate, ask } = stage(async () => undefined, 2 * BODY.length)
  const first = [ask('1'), ask('2')]
  await Promise.all([ask('3'), ask('4')])
  assert.deepEqual(refused, ['engine_overloaded', 'engine_overloaded'])
  gate.resolve()
  await Promise.all(first)
  await Promise.all([ask('5'), ask('6')])
  assert.deepEqual([refused.length, sent], [2, ['1', '2', '5', '6']])
})

test('what cannot be written down is refused, and takes no place', async () => {
  const { refused, ask } = stage(() => Promise.reject(new Error('full')), BODY.length)
  await ask('1')
  await ask('2')
  assert.deepEqual(refused, ['settlement_unavailable', 'settlement_unavailable'])
})
