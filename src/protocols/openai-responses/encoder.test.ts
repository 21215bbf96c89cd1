import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ResponseStream } from 'openai/lib/responses/ResponseStream'
import { ApiError } from '../../errors.ts'
import type { FinishReason } from '../../inference/event.ts'
import type { JsonObject } from '../../inference/request.ts'
import { readKeptResponse } from './kept-response.ts'
import { replayFrames } from './replay.ts'
import { answerOf, CODEC, eventsOf, requestOf, SAID, TOOLS } from './testing.ts'

const OWNER = { orgId: 'org', keyId: 'key', nowMs: 1_700_000_006_000 }
const encoderOf = (fields: JsonObject) => CODEC.encoder(requestOf(fields), 'public/model', 1_700_000_000)
const streamOf = (
  fields: JsonObject,
  ...answer: Parameters<typeof answerOf> extends [unknown, ...infer Rest] ? Rest : never
) => {
  const { early, late } = answerOf(encoderOf({ stream: true, ...fields }), ...answer)
  return eventsOf(early + late)
}
const wholeOf = (
  fields: JsonObject,
  ...answer: Parameters<typeof answerOf> extends [unknown, ...infer Rest] ? Rest : never
) => JSON.parse(answerOf(encoderOf(fields), ...answer).late)

/** What the official client makes of the events; it throws at whatever is out of order. */
async function accumulated(events: readonly object[]): Promise<JsonObject> {
  const lines = events.map(event => `${JSON.stringify(event)}\n`).join('')
  const stream = ResponseStream.fromReadableStream(new Blob([lines]).stream())
  return JSON.parse(JSON.stringify(await stream.finalResponse()))
}

/** Without what the client adds. */
function plain(response: unknown): JsonObject {
  const added = new Set(['parsed', 'parsed_arguments', 'output_parsed', 'output_text'])
  return JSON.parse(JSON.stringify(response), (name, value) => (added.has(name) ? undefined : value))
}

const reason: fc.Arbitrary<FinishReason> = fc.constantFrom('stop', 'tool_calls', 'length', 'content_filter')

test('whatever is said in whatever order: the client can follow, and both ways of answering say the same', async () => {
  await fc.assert(
    fc.asyncProperty(SAID, reason, fc.boolean(), async (said, why, sealed) => {
      const fields = { tools: TOOLS, ...(sealed && { include: ['reasoning.encrypted_content'] }) }
      const events = streamOf(fields, said, why)
      const whole = wholeOf(fields, said, why)
      assert.deepEqual(plain(await accumulated(events)), plain(whole))
      assert.deepEqual(
        events.map(event => event.sequence_number),
        events.map((_, i) => i),
      )
    }),
    { numRuns: 300 },
  )
})

test('what the deltas of a text, a thought or a call are joined to is what their end says', () => {
  fc.assert(
    fc.property(SAID, said => {
      const joined = new Map<string, string>()
      for (const event of streamOf({ tools: TOOLS }, said)) {
        const { type, item_id: id, content_index: content, summary_index: summary } = event
        const key = `${type.replace(/\.(delta|done)$/, '')} ${id} ${content} ${summary}`
        if (type.endsWith('.delta')) joined.set(key, (joined.get(key) ?? '') + event.delta)
        const whole = event.text ?? event.refusal ?? event.arguments ?? event.input
        if (typeof whole === 'string') assert.equal(joined.get(key) ?? '', whole, key)
      }
    }),
  )
})

test('nothing that makes an answer look whole comes before its settlement', () => {
  fc.assert(
    fc.property(SAID, said => {
      const { early, late } = answerOf(encoderOf({ stream: true, tools: TOOLS }), said)
      const items = eventsOf(late).at(-1)?.response as { output: unknown[] }
      const ended = eventsOf(early).filter(({ type }) => type === 'response.output_item.done')
      assert.ok(ended.every(event => (event.output_index as number) < items.output.length - 1))
      assert.ok(eventsOf(early).every(({ type }) => !/^response\.(completed|incomplete|failed)$/.test(type)))
    }),
  )
})

test('a kept response told again as a stream says the same', async () => {
  await fc.assert(
    fc.asyncProperty(SAID, fc.constantFrom('stop' as const, 'tool_calls' as const), async (said, why) => {
      const whole = wholeOf({ tools: TOOLS }, said, why)
      const again = eventsOf(replayFrames(whole).join(''))
      assert.deepEqual(plain(await accumulated(again)), plain(whole))
    }),
    { numRuns: 100 },
  )
})

test('the events come in this order', () => {
  const events = streamOf({ tools: TOOLS }, [
    { reasoning: 'Hm' },
    { content: 'Hi' },
    { toolCalls: [{ index: 0, id: 'call_0', name: 'f', arguments: '{}' }] },
  ])
  assert.deepEqual(
    events.map(({ type, output_index: at }) => `${at ?? ''} ${type.slice('response.'.length)}`.trim()),
    [
      'created',
      'in_progress',
      '0 output_item.added',
      '0 content_part.added',
      '0 reasoning_summary_part.added',
      '0 reasoning_text.delta',
      '0 reasoning_summary_text.delta',
      '0 reasoning_text.done',
      '0 content_part.done',
      '0 reasoning_summary_text.done',
      '0 reasoning_summary_part.done',
      '0 output_item.done',
      '1 output_item.added',
      '1 content_part.added',
      '1 output_text.delta',
      '1 output_text.done',
      '1 content_part.done',
      '1 output_item.done',
      '2 output_item.added',
      '2 function_call_arguments.delta',
      '2 function_call_arguments.done',
      '2 output_item.done',
      'completed',
    ],
  )
})

test('what signs a thought comes back with it, sealed or not', () => {
  const signed = { type: 'reasoning.text', text: 'Hm', signature: 'Eq=' }
  const said = [{ reasoning: 'Hm' }, { extra: { reasoning_details: [signed] } }, { content: 'Hi' }]
  const { output } = wholeOf({ include: ['reasoning.encrypted_content'] }, said)
  assert.equal(output.length, 2)
  for (const left of ['encrypted_content', 'reasoning_details']) {
    const { [left]: proof, type, summary } = output[0]
    const { body } = requestOf({ input: [{ [left]: proof, type, summary }, output[1]] })
    assert.deepEqual(body.messages, [
      { role: 'assistant', content: 'Hi', reasoning_content: 'Hm', reasoning_details: [signed] },
    ])
  }
})

test('a summary that is not wanted is left out', () => {
  const fields = { reasoning: { summary: 'none' } }
  assert.ok(streamOf(fields, [{ reasoning: 'Hm' }]).every(({ type }) => !type.includes('summary')))
  assert.deepEqual(wholeOf(fields, [{ reasoning: 'Hm' }]).output[0].summary, [])
})

test('log probabilities come where they were asked for', () => {
  const logprobs = [{ token: 'Hi', bytes: [72, 105], logprob: -0.5, top: [] }]
  const told = [{ token: 'Hi', logprob: -0.5, bytes: [72, 105], top_logprobs: [] }]
  const said = [{ content: 'Hi', logprobs }]
  const asked = { include: ['message.output_text.logprobs'] }
  assert.deepEqual(wholeOf(asked, said).output[0].content[0].logprobs, told)
  assert.deepEqual(streamOf(asked, said).find(({ type }) => type === 'response.output_text.delta')?.logprobs, told)
  assert.deepEqual(wholeOf({}, said).output[0].content[0].logprobs, [])
})

test('what is cut short is incomplete, and so is its last item', () => {
  const said = [{ reasoning: 'Hm' }, { content: 'Hi' }]
  for (const [why, told] of [
    ['length', 'max_output_tokens'],
    ['content_filter', 'content_filter'],
  ] as const) {
    const { status, incomplete_details: details, output } = wholeOf({}, said, why)
    assert.deepEqual(
      [status, details, output.map((item: JsonObject) => item.status)],
      ['incomplete', { reason: told }, ['completed', 'incomplete']],
    )
    assert.equal(streamOf({}, said, why).at(-1)?.type, 'response.incomplete')
  }
})

test('an answer without anything is an empty message', () => {
  const { output } = wholeOf({}, [])
  assert.deepEqual(output[0].content, [{ type: 'output_text', text: '', annotations: [], logprobs: [] }])
})

test('a failure is told as an error and as a failed response, with what there was', () => {
  const encoder = encoderOf({ stream: true })
  encoder.delta({ type: 'delta', choice: 0, tokens: 1, content: 'Hi' })
  const [error, failed] = eventsOf(encoder.error(new ApiError('engine_overloaded', 'Full.')).toString())
  assert.deepEqual([error?.type, error?.code, error?.message], ['error', 'engine_overloaded', 'Full.'])
  const response = failed?.response as JsonObject
  assert.deepEqual(
    [failed?.type, response.status, response.error],
    ['response.failed', 'failed', { code: 'rate_limit_exceeded', message: 'Full.' }],
  )
  assert.equal((response.output as unknown[]).length, 1)
  // Also before anything was said.
  const types = eventsOf(encoderOf({ stream: true }).error(new ApiError('upstream_error', 'x')).toString())
  assert.deepEqual(
    types.map(({ type }) => type),
    ['response.created', 'response.in_progress', 'error', 'response.failed'],
  )
})

test('a response in the background goes on with the numbers after its first two events', () => {
  const [first] = streamOf({ background: true }, [{ content: 'Hi' }])
  assert.deepEqual([first?.type, first?.sequence_number], ['response.in_progress', 2])
})

test('what is kept: the response, its own input with ids, and where each item is', () => {
  const encoder = encoderOf({
    input: [
      { role: 'user', content: 'Hi', id: 'mine' },
      { role: 'user', content: 'there' },
    ],
  })
  answerOf(encoder, [{ reasoning: 'Hm' }, { content: 'Hi' }])
  const [response, ...items] = encoder.kept?.(OWNER) ?? []
  assert.deepEqual(
    [response?.kind, response?.id, response?.state, response?.orgId, response?.expiresMs],
    ['response', 'resp_X', 'completed', 'org', OWNER.nowMs + 86_400_000],
  )
  const kept = readKeptResponse(response?.json ?? '')
  assert.deepEqual(
    kept.input.map(({ id }) => id),
    ['mine', 'msg_Xin1'],
  )
  assert.deepEqual(
    items.map(({ kind, id, parentId, json }) => [kind, id, parentId, JSON.parse(json)]),
    [
      ['response_item', 'rs_X0', 'resp_X', { response: 'resp_X', output: 0 }],
      ['response_item', 'msg_X1', 'resp_X', { response: 'resp_X', output: 1 }],
    ],
  )
  const forgotten = encoderOf({ store: false })
  answerOf(forgotten, [{ content: 'Hi' }])
  assert.deepEqual(forgotten.kept?.(OWNER), [])
})

test('a conversation that no summary was written of comes back whole', () => {
  const compact = { path: '/v1/responses/compact' }
  const input = [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: 'b' },
  ]
  const answered = (said: Parameters<typeof answerOf>[1]) =>
    JSON.parse(answerOf(CODEC.encoder(requestOf({ input, stream: true }, compact), 'm', 1), said).late)
  const types = (output: JsonObject[]) => output.map(({ type, content }) => [type, content])
  assert.deepEqual(types(answered([{ reasoning: 'Hm' }]).output), [
    ['message', 'a'],
    ['message', 'b'],
  ])
  assert.deepEqual(types(answered([{ content: 'They said a.' }]).output), [
    ['message', 'a'],
    ['compaction', undefined],
  ])
})
