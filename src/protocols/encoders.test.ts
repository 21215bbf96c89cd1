import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../errors.ts'
import type { InferenceEvent } from '../inference/event.ts'
import type { JsonObject } from '../inference/request.ts'
import { USAGE_ABSENT, type Usage } from '../inference/usage.ts'
import { OPENAI_CHAT as CHAT } from './openai-chat/codec.ts'
import { OPENAI_COMPLETIONS as COMPLETIONS } from './openai-completions/codec.ts'
import type { AnswerEncoder, AnswerTotals, ProtocolCodec } from './protocol.ts'
import { decodeNow } from './testing.ts'

const USAGE: Usage = {
  inputTokens: 10,
  inputSource: 'reported',
  cachedInputTokens: 4,
  cachedInputSource: 'reported',
  cacheWriteTokens: 0,
  cacheWriteSource: 'absent',
  outputTokens: 3,
  outputSource: 'reported',
  reasoningTokens: 1,
  reasoningSource: 'counted',
}
const TOTALS: AnswerTotals = { usage: USAGE, chargeNanodollars: 100_023_300n }

function encoderFor(codec: ProtocolCodec, fields: JsonObject): AnswerEncoder {
  const body = { model: 'alias', messages: [{ role: 'user', content: 'x' }], prompt: 'x', ...fields }
  const request = decodeNow(codec, body, 'req_ABC')
  return codec.encoder(request, 'public/model', 1700000000)
}

function feed(encoder: AnswerEncoder, events: readonly InferenceEvent[]): string {
  const parts = events.map(event => {
    if (event.type === 'delta') return encoder.delta(event)
    if (event.type === 'frame') return encoder.frame(event)
    if (event.type === 'finish') return encoder.finish(event.choice, event.reason)
    if (event.type === 'started') encoder.started(event)
    return new Uint8Array(0)
  })
  return Buffer.concat(parts).toString()
}

/** The chunks of a stream, checked to share id, object, created and model. */
function chunks(stream: string, id: string, object: string): JsonObject[] {
  const frames = stream.split('\n\n')
  assert.equal(frames.pop(), '')
  return frames.map(frame => {
    assert.ok(frame.startsWith('data: '), frame)
    if (frame === 'data: [DONE]') return { done: true }
    const { id: frameId, object: frameObject, created, model, ...rest } = JSON.parse(frame.slice(6))
    assert.deepEqual([frameId, frameObject, created, model], [id, object, 1700000000, 'public/model'])
    return rest
  })
}

const chatChunks = (stream: string) => chunks(stream, 'chatcmpl-ABC', 'chat.completion.chunk')
const delta = (choice: number, fields: object): InferenceEvent => ({ type: 'delta', choice, tokens: 1, ...fields })
const choiceChunk = (index: number, fields: object, reason: string | null = null, logprobs: unknown = null) => ({
  choices: [{ index, delta: fields, logprobs, finish_reason: reason }],
})
const ROLE = { role: 'assistant', content: '', refusal: null }

test('a chat stream: role, deltas, finish, usage, end', () => {
  const encoder = encoderFor(CHAT, { stream: true })
  const stream = feed(encoder, [
    { type: 'started', inputTokens: 10 },
    delta(0, { reasoning: 'hm' }),
    delta(0, { content: 'a"\n🙂', extra: { mood: 1 } }),
  ])
  assert.deepEqual(chatChunks(stream), [
    choiceChunk(0, ROLE),
    choiceChunk(0, { reasoning_content: 'hm', reasoning: 'hm' }),
    choiceChunk(0, { content: 'a"\n🙂', mood: 1 }),
  ])
  assert.equal(feed(encoder, [delta(0, {})]), '', 'tokens without text need no frame')
  assert.equal(encoder.finished, false)
  assert.deepEqual(chatChunks(feed(encoder, [{ type: 'finish', choice: 0, reason: 'stop' }])), [
    choiceChunk(0, {}, 'stop'),
  ])
  assert.equal(encoder.finished, true)
  assert.equal(feed(encoder, [{ type: 'finish', choice: 0, reason: 'stop' }]), '', 'once only')
  const end = Buffer.from(encoder.complete(TOTALS)).toString()
  assert.match(end, /"estimated_cost":0\.100023300[,}]/)
  assert.deepEqual(chatChunks(end), [
    {
      choices: [],
      usage: {
        prompt_tokens: 10,
        completion_tokens: 3,
        total_tokens: 13,
        prompt_tokens_details: { cached_tokens: 4 },
        completion_tokens_details: { reasoning_tokens: 1 },
        prompt_cache_hit_tokens: 4,
        prompt_cache_miss_tokens: 6,
        estimated_cost: 0.1000233,
      },
    },
    { done: true },
  ])
})

test('tool calls carry id, type and name in their first piece only', () => {
  const encoder = encoderFor(CHAT, { stream: true })
  const stream = feed(encoder, [
    delta(0, { toolCalls: [{ index: 0, id: 'c1', name: 'f', arguments: '' }] }),
    delta(0, { toolCalls: [{ index: 0, id: 'c1', name: 'f', arguments: '{"a":' }] }),
    delta(0, { toolCalls: [{ index: 1, name: 'g', arguments: '{}' }] }),
  ])
  const first = (index: number, id: string, name: string, text: string) => ({
    tool_calls: [{ index, id, type: 'function', function: { name, arguments: text } }],
  })
  assert.deepEqual(chatChunks(stream).slice(1), [
    choiceChunk(0, first(0, 'c1', 'f', '')),
    choiceChunk(0, { tool_calls: [{ index: 0, function: { arguments: '{"a":' } }] }),
    choiceChunk(0, first(1, 'call_ABC_0_1', 'g', '{}')),
  ])
})

test('choices are opened and finished one by one', () => {
  const encoder = encoderFor(CHAT, { stream: true, n: 3 })
  const stream = feed(encoder, [
    delta(1, { content: 'b' }),
    delta(0, { content: 'a' }),
    { type: 'finish', choice: 1, reason: 'length' },
  ])
  assert.deepEqual(chatChunks(stream), [
    choiceChunk(1, ROLE),
    choiceChunk(1, { content: 'b' }),
    choiceChunk(0, ROLE),
    choiceChunk(0, { content: 'a' }),
    choiceChunk(1, {}, 'length'),
  ])
  assert.deepEqual(chatChunks(Buffer.from(encoder.finishOpen('length')).toString()), [
    choiceChunk(0, {}, 'length'),
    choiceChunk(2, ROLE),
    choiceChunk(2, {}, 'length'),
  ])
  assert.equal(encoder.finished, true)
  assert.equal(encoder.finishOpen('length').length, 0)
})

test('frames pass unchanged, and frames of ours match them', () => {
  const encoder = encoderFor(CHAT, { stream: true })
  const passed = 'data: {"whatever":1}\n\n'
  const stream = feed(encoder, [
    { type: 'started', answerId: 'up-1', createdS: 5 },
    { type: 'frame', bytes: Buffer.from(passed), tokens: 1, finishes: 0 },
    delta(0, { content: 'x' }),
    { type: 'finish', choice: 0, reason: 'stop' },
  ])
  const head = '"id":"up-1","object":"chat.completion.chunk","created":5,"model":"public/model"'
  assert.equal(
    stream,
    `${passed}data: {${head},"choices":[{"index":0,"delta":{"content":"x"},"logprobs":null,"finish_reason":null}]}\n\n` +
      `data: {${head},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}\n\n`,
  )
  const finishing = encoderFor(CHAT, { stream: true, n: 2 })
  const finish = ': {\ndata: {"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}\nid: 7\n\n'
  feed(finishing, [
    { type: 'started', answerId: 'up-1', createdS: 5 },
    { type: 'frame', bytes: Buffer.from(finish), tokens: 0, finishes: 1 },
  ])
  assert.equal(finishing.finished, false)
  assert.match(
    Buffer.from(finishing.finishOpen('length')).toString(),
    /^data: [^\n]*"index":0,[^\n]*"finish_reason":"length"[^\n]*\n\n$/,
  )
  assert.equal(finishing.finished, true)
})

const LOGPROBS = [
  { token: 'é', bytes: [195, 169], logprob: -0.5, top: [{ token: 'é', bytes: [195, 169], logprob: -0.5 }] },
  { token: 'b', bytes: [98], logprob: Number.NEGATIVE_INFINITY, top: [] },
]

test('log probabilities in both shapes', () => {
  const chat = chatChunks(feed(encoderFor(CHAT, { stream: true }), [delta(0, { content: 'éb', logprobs: LOGPROBS })]))
  assert.deepEqual(chat[1], {
    choices: [
      {
        index: 0,
        delta: { content: 'éb' },
        logprobs: {
          content: [
            {
              token: 'é',
              logprob: -0.5,
              bytes: [195, 169],
              top_logprobs: [{ token: 'é', logprob: -0.5, bytes: [195, 169] }],
            },
            { token: 'b', logprob: -9999, bytes: [98], top_logprobs: [] },
          ],
          refusal: null,
        },
        finish_reason: null,
      },
    ],
  })
  const text = encoderFor(COMPLETIONS, { stream: true })
  const first = [{ token: '🙂', bytes: [], logprob: Number.NaN, top: [] }]
  const stream = feed(text, [
    delta(0, { content: '🙂', logprobs: first }),
    delta(0, { content: 'éb', logprobs: LOGPROBS }),
  ])
  const [one, two] = chunks(stream, 'cmpl-ABC', 'text_completion').map(
    chunk => (chunk.choices as JsonObject[])[0]?.logprobs,
  )
  assert.deepEqual(one, { tokens: ['🙂'], token_logprobs: [null], top_logprobs: [null], text_offset: [0] })
  assert.deepEqual(two, {
    tokens: ['é', 'b'],
    token_logprobs: [-0.5, -9999],
    top_logprobs: [{ é: -0.5 }, { b: -9999 }],
    text_offset: [1, 2],
  })
})

test('a buffered chat answer', () => {
  const encoder = encoderFor(CHAT, { n: 2 })
  const sent = feed(encoder, [
    delta(0, { reasoning: 'h' }),
    delta(0, { reasoning: 'm', extra: { notes: ['x'] } }),
    delta(0, { content: 'Hel', logprobs: LOGPROBS.slice(1), extra: { notes: ['y'], mood: 'go' } }),
    delta(0, { content: 'lo', extra: { mood: 'od', __proto__x: 1 } }),
    delta(1, { toolCalls: [{ index: 1, name: 'g', arguments: '{}' }] }),
    delta(1, { toolCalls: [{ index: 0, id: 'c', name: 'f', arguments: '{' }] }),
    delta(1, { toolCalls: [{ index: 0, arguments: '}' }] }),
    { type: 'finish', choice: 0, reason: 'stop' },
    { type: 'finish', choice: 1, reason: 'tool_calls' },
  ])
  assert.equal(sent, '')
  const body = JSON.parse(Buffer.from(encoder.complete(TOTALS)).toString())
  assert.deepEqual(
    [body.id, body.object, body.created, body.model],
    ['chatcmpl-ABC', 'chat.completion', 1700000000, 'public/model'],
  )
  assert.equal(body.usage.total_tokens, 13)
  assert.deepEqual(body.choices, [
    {
      index: 0,
      message: {
        role: 'assistant',
        content: 'Hello',
        refusal: null,
        reasoning_content: 'hm',
        reasoning: 'hm',
        notes: ['x', 'y'],
        mood: 'good',
        __proto__x: 1,
      },
      logprobs: { content: [{ token: 'b', logprob: -9999, bytes: [98], top_logprobs: [] }], refusal: null },
      finish_reason: 'stop',
    },
    {
      index: 1,
      message: {
        role: 'assistant',
        content: null,
        refusal: null,
        tool_calls: [
          { id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } },
          { id: 'call_ABC_1_1', type: 'function', function: { name: 'g', arguments: '{}' } },
        ],
      },
      logprobs: null,
      finish_reason: 'tool_calls',
    },
  ])
})

test('clients of the deprecated functions get function_call', () => {
  const events: InferenceEvent[] = [
    delta(0, { toolCalls: [{ index: 0, id: 'c', name: 'f', arguments: '{' }] }),
    delta(0, { toolCalls: [{ index: 0, arguments: '}' }] }),
    { type: 'finish', choice: 0, reason: 'tool_calls' },
  ]
  const functions = [{ name: 'f' }]
  assert.deepEqual(chatChunks(feed(encoderFor(CHAT, { stream: true, functions }), events)).slice(1), [
    choiceChunk(0, { function_call: { name: 'f', arguments: '{' } }),
    choiceChunk(0, { function_call: { arguments: '}' } }),
    choiceChunk(0, {}, 'function_call'),
  ])
  const buffered = encoderFor(CHAT, { functions })
  feed(buffered, events)
  const [choice] = JSON.parse(Buffer.from(buffered.complete(TOTALS)).toString()).choices
  assert.deepEqual(choice.message.function_call, { name: 'f', arguments: '{}' })
  assert.equal(choice.finish_reason, 'function_call')
})

test('text completions, streamed and buffered', () => {
  const events: InferenceEvent[] = [
    delta(1, { content: 'b' }),
    delta(0, { reasoning: '<think>', content: 'a' }),
    { type: 'finish', choice: 0, reason: 'length' },
    { type: 'finish', choice: 1, reason: 'tool_calls' },
  ]
  const choice = (index: number, text: string, reason: string | null) => ({
    index,
    text,
    logprobs: null,
    finish_reason: reason,
  })
  const stream = feed(encoderFor(COMPLETIONS, { stream: true, n: 2 }), events)
  assert.deepEqual(chunks(stream, 'cmpl-ABC', 'text_completion'), [
    { choices: [choice(1, 'b', null)] },
    { choices: [choice(0, '<think>a', null)] },
    { choices: [choice(0, '', 'length')] },
    { choices: [choice(1, '', 'stop')] },
  ])
  const buffered = encoderFor(COMPLETIONS, { prompt: ['x', 'y'] })
  feed(buffered, events)
  const body = JSON.parse(Buffer.from(buffered.complete(TOTALS)).toString())
  assert.equal(body.object, 'text_completion')
  assert.deepEqual(body.choices, [choice(0, '<think>a', 'length'), choice(1, 'b', 'stop')])
})

test('usage on the wire', () => {
  const usageOf = (totals: Partial<AnswerTotals>) => {
    const encoder = encoderFor(CHAT, {})
    encoder.finishOpen('stop')
    return JSON.parse(Buffer.from(encoder.complete({ ...TOTALS, ...totals })).toString()).usage
  }
  const absent = usageOf({ usage: USAGE_ABSENT, chargeNanodollars: 0n })
  assert.deepEqual(
    [absent.prompt_tokens, absent.prompt_tokens_details, absent.estimated_cost],
    [0, { cached_tokens: 0 }, 0],
  )
  const extra = usageOf({
    usage: { ...USAGE, cacheWriteTokens: 2, cacheWriteSource: 'reported' },
    usageExtra: {
      queue_time: 0.5,
      estimated_cost: 9,
      prompt_tokens_details: { audio_tokens: 0, cached_tokens: 99 },
      nothing: null,
    },
    notice: 'out of credit',
  })
  assert.deepEqual(extra.prompt_tokens_details, { cached_tokens: 4, cache_write_tokens: 2, audio_tokens: 0 })
  assert.deepEqual(
    [extra.queue_time, extra.estimated_cost, extra.notice, extra.nothing],
    [0.5, 0.1000233, 'out of credit', null],
  )
  const silent = encoderFor(CHAT, { stream: true, stream_options: { include_usage: false } })
  assert.equal(Buffer.from(silent.complete(TOTALS)).toString(), 'data: [DONE]\n\n')
})

test('errors', () => {
  const error = new ApiError('upstream_error', 'It broke.')
  const body = '{"error":{"message":"It broke.","type":"server_error","param":null,"code":"upstream_error"}}'
  for (const codec of [CHAT, COMPLETIONS]) {
    assert.equal(Buffer.from(encoderFor(codec, { stream: true }).error(error)).toString(), `data: ${body}\n\n`)
    assert.equal(Buffer.from(encoderFor(codec, {}).error(error)).toString(), body)
  }
})
