import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError, type ErrorCode } from '../errors.ts'
import type { InferenceEvent } from '../inference/event.ts'
import type { JsonObject } from '../inference/request.ts'
import { USAGE_ABSENT } from '../inference/usage.ts'
import { joinedDetails } from '../translation/reasoning-details.ts'
import { OPENAI_CHAT as CHAT } from './openai-chat/codec.ts'
import { OPENAI_COMPLETIONS as COMPLETIONS } from './openai-completions/codec.ts'
import { openRouterError } from './openrouter-error.ts'
import type { AnswerEncoder, AnswerTotals, EventOf, ProtocolCodec } from './protocol.ts'
import { decodeNow } from './testing.ts'

/** Answers as OpenRouter's clients read them. */

const TOTALS: AnswerTotals = {
  usage: { ...USAGE_ABSENT, inputTokens: 10, outputTokens: 3 },
  chargeNanodollars: 1_500_000_007n,
  inputChargeNanodollars: () => 500_000_000n,
}

function encoderFor(codec: ProtocolCodec, fields: JsonObject, surface: 'openrouter' | 'openai' = 'openrouter') {
  const body = { model: 'm', messages: [{ role: 'user', content: 'x' }], prompt: 'x', ...fields }
  const request = decodeNow(codec, body, 'req_ABC', { surface })
  return codec.encoder(request, 'm', 1700000000, 'up-1')
}

function framesOf(encoder: AnswerEncoder, ...events: InferenceEvent[]): JsonObject[] {
  const bytes = events.map(event => {
    if (event.type === 'delta') return encoder.delta(event)
    if (event.type === 'finish') return encoder.finish(event.choice, event.reason, event.native)
    return new Uint8Array(0)
  })
  return parsed(Buffer.concat(bytes).toString())
}

function parsed(stream: string): JsonObject[] {
  const frames = stream.split('\n\n').filter(frame => frame !== '' && frame !== 'data: [DONE]')
  return frames.map(frame => JSON.parse(frame.slice('data: '.length)))
}

const delta = (fields: Partial<EventOf<'delta'>>): InferenceEvent => ({
  type: 'delta',
  choice: 0,
  tokens: 1,
  ...fields,
})
const finish = (native?: string): InferenceEvent => ({
  type: 'finish',
  choice: 0,
  reason: 'stop',
  ...(native !== undefined && { native }),
})
const choiceOf = (frame: JsonObject | undefined) => ((frame as JsonObject).choices as JsonObject[])[0] as JsonObject

test('each chunk says who serves it, and the last one what the upstream calls its end', () => {
  const frames = framesOf(encoderFor(CHAT, { stream: true }), delta({ content: 'Hi' }), finish('eos'))
  assert.deepEqual(
    frames.map(frame => frame.provider),
    ['up-1', 'up-1', 'up-1'],
  )
  assert.deepEqual(choiceOf(frames[2]), {
    index: 0,
    delta: {},
    logprobs: null,
    finish_reason: 'stop',
    native_finish_reason: 'eos',
  })
})

test('thinking comes as text and as a list, once', () => {
  const encoder = encoderFor(CHAT, { stream: true })
  const details = [{ type: 'reasoning.text', text: 'Hm', format: 'unknown', index: 0 }]
  const [, first] = framesOf(encoder, delta({ reasoning: 'Hm' }))
  assert.deepEqual(choiceOf(first).delta, { reasoning_content: 'Hm', reasoning: 'Hm', reasoning_details: details })
  const own = [{ type: 'reasoning.encrypted', data: 'x', index: 0 }]
  const [second] = framesOf(encoder, delta({ reasoning: 'Hm', extra: { reasoning_details: own } }))
  assert.deepEqual((choiceOf(second).delta as JsonObject).reasoning_details, own)
})

test('usage tells the cost, exactly, whether it was asked for or not', () => {
  const encoder = encoderFor(CHAT, { stream: true, stream_options: { include_usage: false } })
  framesOf(encoder, delta({ content: 'Hi' }), finish())
  const text = Buffer.from(encoder.complete(TOTALS)).toString()
  assert.match(text, /"cost":1\.500000007,"is_byok":false/)
  const [{ usage, choices } = {}] = parsed(text) as { usage?: JsonObject; choices?: unknown }[]
  assert.deepEqual(choices, [{ index: 0, delta: { content: '' }, finish_reason: null }])
  assert.deepEqual(usage?.cost_details, {
    upstream_inference_cost: null,
    upstream_inference_prompt_cost: 0.5,
    upstream_inference_completions_cost: 1.000000007,
  })
})

test('an answer in one body has it all', () => {
  for (const codec of [CHAT, COMPLETIONS]) {
    const encoder = encoderFor(codec, {})
    framesOf(encoder, delta({ reasoning: 'Hm, ' }), delta({ reasoning: 'yes', content: 'Hi' }), finish('eos'))
    const body = JSON.parse(Buffer.from(encoder.complete(TOTALS)).toString())
    assert.deepEqual([body.provider, body.system_fingerprint, body.usage.cost], ['up-1', null, 1.500000007])
    assert.equal(body.choices[0].native_finish_reason, 'eos')
    if (codec === COMPLETIONS) continue
    assert.deepEqual(body.choices[0].message.reasoning_details, [
      { type: 'reasoning.text', text: 'Hm, yes', format: 'unknown', index: 0 },
    ])
  }
})

test('on another surface an answer has none of it', () => {
  const encoder = encoderFor(CHAT, {}, 'openai')
  framesOf(encoder, delta({ reasoning: 'Hm', content: 'Hi' }), finish('eos'))
  const body = JSON.parse(Buffer.from(encoder.complete(TOTALS)).toString())
  assert.deepEqual(Object.keys(body), ['id', 'object', 'created', 'model', 'choices', 'usage'])
  assert.deepEqual(Object.keys(body.choices[0]), ['index', 'message', 'logprobs', 'finish_reason'])
  assert.equal('cost' in body.usage || 'reasoning_details' in body.choices[0].message, false)
})

test('who does not want to read thoughts gets none, on any surface', () => {
  const hidden = (fields: JsonObject) => {
    const encoder = encoderFor(CHAT, { stream: true, ...fields }, 'openai')
    return framesOf(
      encoder,
      delta({ reasoning: 'Hm', extra: { reasoning_details: [{}] } }),
      delta({ reasoning: 'so', content: 'Hi', extra: { other: 1 } }),
    ).map(frame => choiceOf(frame).delta)
  }
  const opening = { role: 'assistant', content: '', refusal: null }
  assert.deepEqual(hidden({ reasoning: { exclude: true } }), [opening, { content: 'Hi', other: 1 }])
  assert.deepEqual(hidden({ include_reasoning: false }), [opening, { content: 'Hi', other: 1 }])
  assert.equal(hidden({ reasoning: { exclude: false }, include_reasoning: false }).length, 3)
  const request = (fields: JsonObject) =>
    decodeNow(CHAT, { model: 'm', messages: [{ role: 'user', content: 'x' }], ...fields }, 'r')
  const passes = CHAT.passesFrames as (request: ReturnType<typeof decodeNow>) => boolean
  assert.deepEqual([passes(request({})), passes(request({ include_reasoning: false }))], [true, false])
})

test('pieces of thoughts are joined by type and index, and what is no piece is left out', () => {
  const text = (index: number, fields: object) => ({ type: 'reasoning.text', index, ...fields })
  assert.deepEqual(
    joinedDetails([
      text(0, { text: 'Hm', format: 'f', signature: null }),
      text(0, { text: ', yes' }),
      { type: 'reasoning.summary', index: 0, summary: 'thought' },
      text(1, { text: 'Next' }),
      text(0, { signature: 'sig' }),
      'odd',
    ]),
    [
      text(0, { text: 'Hm, yes', format: 'f', signature: 'sig' }),
      { type: 'reasoning.summary', index: 0, summary: 'thought' },
      text(1, { text: 'Next' }),
    ],
  )
})

test('an error is a number, a message and a word; in a stream it ends the open choices', () => {
  const check = (code: ErrorCode, type: string, source?: string) => {
    const error = new ApiError(code, 'No.')
    assert.deepEqual(openRouterError(error), {
      code: error.status,
      message: 'No.',
      metadata: { error_type: type, error_code: code, ...(source !== undefined && { limit_source: source }) },
    })
  }
  check('balance_held', 'in_flight_budget_exhausted', 'openrouter_in_flight_budget')
  check('insufficient_balance', 'weight_exceeds_budget', 'openrouter_credits')
  check('key_cap_exceeded', 'payment_required', 'openrouter_key_limit')
  check('rate_limit_exceeded', 'rate_limit_exceeded')
  check('no_matching_upstream', 'provider_unavailable')
  const encoder = encoderFor(CHAT, { stream: true, n: 2 })
  framesOf(encoder, delta({ content: 'Hi' }), finish())
  const [frame] = parsed(Buffer.from(encoder.error(new ApiError('upstream_error', 'Gone.'))).toString())
  assert.deepEqual(frame?.choices, [
    { index: 1, delta: { content: '' }, finish_reason: 'error', native_finish_reason: 'error' },
  ])
  assert.equal(((frame as JsonObject).error as JsonObject).code, 502)
  const buffered = JSON.parse(Buffer.from(encoderFor(CHAT, {}).error(new ApiError('upstream_error', 'x'))).toString())
  assert.equal(buffered.error.code, 502)
})

test('log probabilities of thoughts stay apart', () => {
  const logprob = { token: 'a', bytes: [97], logprob: -1, top: [] }
  const encoder = encoderFor(CHAT, { logprobs: true }, 'openai')
  framesOf(
    encoder,
    delta({ reasoning: 'a', reasoningLogprobs: [logprob] }),
    delta({ content: 'a', logprobs: [logprob] }),
  )
  const body = JSON.parse(Buffer.from(encoder.complete(TOTALS)).toString())
  const told = [{ token: 'a', logprob: -1, bytes: [97], top_logprobs: [] }]
  assert.deepEqual(body.choices[0].logprobs, { content: told, refusal: null, reasoning_content: told })
})
