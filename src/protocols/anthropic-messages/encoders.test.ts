import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../../errors.ts'
import { USAGE_ABSENT } from '../../inference/usage.ts'
import type { AnswerTotals } from '../protocol.ts'
import { MessagesBufferedEncoder } from './buffered-encoder.ts'
import { messageUsageJson } from './message.ts'
import { MessagesStreamEncoder } from './stream-encoder.ts'

const HEAD = { id: 'msg_1', requestId: 'req_1', model: 'm', stopSequences: ['END'] }
const TOTALS: AnswerTotals = { usage: USAGE_ABSENT, chargeNanodollars: 1_500n }

const delta = (fields: object) => ({ type: 'delta', choice: 0, tokens: 1, ...fields }) as const

/** The frames of a stream without what never changes. */
function frames(bytes: Uint8Array): string[] {
  return Buffer.from(bytes)
    .toString()
    .split('\n\n')
    .filter(frame => frame !== '')
    .map(frame => frame.replace(/^event: \w+\ndata: /, ''))
}

test('the three counts of input are apart, and add up', () => {
  const usage = { ...USAGE_ABSENT, inputTokens: 100, cachedInputTokens: 60, cacheWriteTokens: 30, outputTokens: 9 }
  const read = (totals: Partial<AnswerTotals>) => JSON.parse(messageUsageJson({ ...TOTALS, usage, ...totals }))
  assert.deepEqual(read({}), {
    ...{ input_tokens: 10, cache_read_input_tokens: 60, cache_creation_input_tokens: 30, output_tokens: 9 },
    cache_creation: { ephemeral_5m_input_tokens: 30, ephemeral_1h_input_tokens: 0 },
    ...{ output_tokens_details: { thinking_tokens: 0 }, server_tool_use: null, service_tier: null },
    estimated_cost: 0.0000015,
  })
  const split = { ephemeral_5m_input_tokens: 10, ephemeral_1h_input_tokens: 20 }
  const more = read({ usageExtra: { cache_creation: split, inference_geo: 'eu', input_tokens: 7 }, notice: 'Short.' })
  assert.deepEqual(
    [more.cache_creation, more.inference_geo, more.input_tokens, more.notice],
    [split, 'eu', 10, 'Short.'],
  )
  assert.match(
    messageUsageJson({ ...TOTALS, chargeNanodollars: 10n ** 18n + 1n }),
    /"estimated_cost":1000000000\.000000001}$/,
  )
})

test('an answer without a word is still a whole message', () => {
  const stream = new MessagesStreamEncoder(HEAD)
  assert.equal(stream.finish(0, 'stop').length, 0)
  assert.deepEqual(
    frames(stream.complete(TOTALS)).map(frame => JSON.parse(frame).type),
    ['message_start', 'message_delta', 'message_stop'],
  )
  const body = JSON.parse(Buffer.from(new MessagesBufferedEncoder(HEAD).complete(TOTALS)).toString())
  assert.deepEqual([body.content, body.stop_reason], [[], 'end_turn'])
})

test('nothing that makes an answer look complete leaves before its end is settled', () => {
  const stream = new MessagesStreamEncoder(HEAD)
  const before = Buffer.concat([stream.delta(delta({ content: 'Hello' })), stream.finish(0, 'stop')]).toString()
  assert.doesNotMatch(before, /message_delta|message_stop|end_turn/)
})

test('a stop sequence is told when it is one of the client’s', () => {
  const stop = (sequence: string | undefined) => {
    const stream = new MessagesStreamEncoder(HEAD)
    stream.finish(0, 'stop', undefined, sequence)
    const { stop_reason, stop_sequence } = JSON.parse(frames(stream.complete(TOTALS)).at(-2) as string).delta
    return [stop_reason, stop_sequence]
  }
  assert.deepEqual(stop('END'), ['stop_sequence', 'END'])
  assert.deepEqual(stop('<|im_end|>'), ['end_turn', null])
  assert.deepEqual(stop(undefined), ['end_turn', null])
})

test('calls without an id get one, and a call that was cut off shows how far it came', () => {
  const encoder = new MessagesBufferedEncoder(HEAD)
  encoder.delta(delta({ toolCalls: [{ index: 0, name: 'f', arguments: '{"on"' }] }))
  encoder.finishOpen('length')
  const { content, stop_reason } = JSON.parse(Buffer.from(encoder.complete(TOTALS)).toString())
  assert.deepEqual(
    [content[0], stop_reason],
    [
      { type: 'tool_use', id: 'toolu_1_0', name: 'f', input: {}, partial_json: '{"on"', caller: { type: 'direct' } },
      'max_tokens',
    ],
  )
})

test('a failure in the middle is an event with the whole error', () => {
  const error = new ApiError('upstream_error', 'It broke.')
  const body = {
    type: 'error',
    error: { type: 'api_error', message: 'It broke.', details: { error_code: 'upstream_error' } },
    request_id: 'req_1',
  }
  assert.equal(
    Buffer.from(new MessagesStreamEncoder(HEAD).error(error)).toString(),
    `event: error\ndata: ${JSON.stringify(body)}\n\n`,
  )
  assert.deepEqual(JSON.parse(Buffer.from(new MessagesBufferedEncoder(HEAD).error(error)).toString()), body)
})
