import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ApiError } from '../../errors.ts'
import type { GenerationInput, InferenceRequest, JsonObject } from '../../inference/request.ts'
import { decodeChat } from './decode.ts'

const MESSAGES = [{ role: 'user', content: 'hi' }]
const TOOLS = ['a', 'b'].map(name => ({ type: 'function', function: { name, parameters: { type: 'object' } } }))

function decode(fields: JsonObject): InferenceRequest {
  return decodeChat(Buffer.from(JSON.stringify({ model: 'm', messages: MESSAGES, ...fields })), 'req_1')
}

function chat(fields: JsonObject): Extract<GenerationInput, { kind: 'chat' }> {
  const { input } = decode(fields)
  assert.equal(input.kind, 'chat')
  return input as Extract<GenerationInput, { kind: 'chat' }>
}

test('a bare request has the defaults of the wire', () => {
  const request = decode({})
  assert.deepEqual(
    [
      request.id,
      request.protocol,
      request.model,
      request.stream,
      request.includeUsage,
      request.n,
      request.outputTokensMax,
    ],
    ['req_1', 'openai-chat', 'm', false, true, 1, undefined],
  )
  assert.deepEqual(request.input, {
    kind: 'chat',
    messages: MESSAGES,
    tools: [],
    toolChoice: 'none',
    parallelToolCalls: undefined,
    responseFormat: { type: 'text' },
    reasoningEffort: undefined,
    chatTemplateKwargs: undefined,
  })
  assert.deepEqual(request.sampling.stop, [])
  assert.equal(request.sampling.topLogprobs, undefined)
})

test('null is the default everywhere', () => {
  const nulls = Object.fromEntries(
    [
      'stream',
      'stream_options',
      'n',
      'temperature',
      'top_p',
      'stop',
      'seed',
      'logit_bias',
      'logprobs',
      'top_logprobs',
      'tools',
    ]
      .concat([
        'tool_choice',
        'response_format',
        'reasoning_effort',
        'reasoning',
        'thinking',
        'max_tokens',
        'user',
        'modalities',
      ])
      .concat(['max_completion_tokens', 'parallel_tool_calls', 'chat_template_kwargs', 'functions', 'function_call'])
      .map(key => [key, null]),
  )
  const { body: _a, inputTokensBound: _b, ...bare } = decode({})
  const { body: _c, inputTokensBound: _d, ...nulled } = decode(nulls)
  assert.deepEqual(nulled, bare)
})

test('fields are read', () => {
  const check = (fields: JsonObject, expected: Partial<InferenceRequest>) => {
    const request = decode(fields) as unknown as JsonObject
    for (const [key, value] of Object.entries(expected)) assert.deepEqual(request[key], value, JSON.stringify(fields))
  }
  check({ max_tokens: 5 }, { outputTokensMax: 5 })
  check({ max_tokens: 5, max_completion_tokens: 7 }, { outputTokensMax: 7 })
  check({ max_tokens: 5, max_completion_tokens: null }, { outputTokensMax: 5 })
  check({ max_tokens: 9_000_000 }, { outputTokensMax: 9_000_000 })
  check({ stream: true, stream_options: { include_usage: false } }, { stream: true, includeUsage: false })
  check({ stream: true, stream_options: { include_usage: true } }, { includeUsage: true })
  check({ stream: true, stream_options: {} }, { includeUsage: true })
  check({ n: 128 }, { n: 128 })
  check({ user: 'u' }, { cacheKey: 'u' })
  check({ user: 'u', prompt_cache_key: 'k' }, { cacheKey: 'k' })
})

test('sampling is read', () => {
  const check = (fields: JsonObject, expected: JsonObject) => {
    const sampling = decode(fields).sampling as unknown as JsonObject
    for (const [key, value] of Object.entries(expected)) assert.deepEqual(sampling[key], value, JSON.stringify(fields))
  }
  check({ temperature: 0, top_p: 1, min_p: 0.1, seed: -3 }, { temperature: 0, topP: 1, minP: 0.1, seed: -3 })
  check({ top_k: -1 }, { topK: 0 })
  check({ top_k: 40, repetition_penalty: 1.1 }, { topK: 40, repetitionPenalty: 1.1 })
  check({ frequency_penalty: -2, presence_penalty: 2 }, { frequencyPenalty: -2, presencePenalty: 2 })
  check({ stop: 'x' }, { stop: ['x'] })
  check({ stop: ['x', '', 'y'] }, { stop: ['x', 'y'] })
  check({ stop: '' }, { stop: [] })
  check({ logit_bias: { 50256: -100 } }, { logitBias: { 50256: -100 } })
  check({ logprobs: true }, { topLogprobs: 0 })
  check({ logprobs: true, top_logprobs: 20 }, { topLogprobs: 20 })
  check({ logprobs: false, top_logprobs: 0 }, { topLogprobs: undefined })
  check({ ignore_eos: true }, { ignoreEos: true })
})

test('reasoning may be asked for in three ways', () => {
  const check = (fields: JsonObject, effort: string | undefined) =>
    assert.equal(chat(fields).reasoningEffort, effort, JSON.stringify(fields))
  check({ reasoning_effort: 'ultra' }, 'ultra')
  check({ reasoning_effort: 'low', reasoning: { enabled: false } }, 'low')
  check({ reasoning: { effort: 'high' } }, 'high')
  check({ reasoning: { effort: 'high', enabled: false } }, 'none')
  check({ reasoning: { enabled: true } }, 'medium')
  check({ reasoning: { max_tokens: 100 } }, undefined)
  check({ thinking: { type: 'disabled' } }, 'none')
  check({ thinking: { type: 'enabled' } }, 'high')
  check({ thinking: { type: 'adaptive' } }, undefined)
})

test('tools and their choice are read', () => {
  assert.equal(chat({ tools: TOOLS }).toolChoice, 'auto')
  assert.equal(chat({ tools: [] }).toolChoice, 'none')
  assert.equal(chat({ tools: TOOLS, tool_choice: 'required' }).toolChoice, 'required')
  assert.deepEqual(chat({ tools: TOOLS, tool_choice: { type: 'function', function: { name: 'b' } } }).toolChoice, {
    type: 'function',
    function: { name: 'b' },
  })
  const narrowed = chat({
    tools: TOOLS,
    tool_choice: {
      type: 'allowed_tools',
      allowed_tools: { mode: 'required', tools: [{ type: 'function', function: { name: 'b' } }] },
    },
  })
  assert.deepEqual([narrowed.tools, narrowed.toolChoice], [[TOOLS[1]], 'required'])
})

test('the deprecated functions become tools', () => {
  const functions = TOOLS.map(tool => tool.function)
  const input = chat({
    functions,
    function_call: { name: 'a' },
    messages: [
      ...MESSAGES,
      { role: 'assistant', content: null, function_call: { name: 'a', arguments: '{}' } },
      { role: 'function', name: 'a', content: '1' },
    ],
  })
  assert.deepEqual(input.tools, TOOLS)
  assert.deepEqual(input.toolChoice, { type: 'function', function: { name: 'a' } })
  assert.deepEqual(input.messages.slice(1), [
    {
      role: 'assistant',
      content: null,
      tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'a', arguments: '{}' } }],
    },
    { role: 'tool', content: '1', tool_call_id: 'call_1' },
  ])
})

test('what real clients send passes', () => {
  const check = (fields: JsonObject) => assert.doesNotThrow(() => decode(fields), JSON.stringify(fields))
  check({ messages: [{ role: 'developer', content: 'a' }, { role: 'system', content: 'b' }, ...MESSAGES] })
  check({ messages: [{ role: 'user', content: [{ type: 'text', text: 'a', cache_control: { type: 'ephemeral' } }] }] })
  const call = { id: 'c', type: 'function', function: { name: 'a', arguments: '{}' } }
  check({
    messages: [
      ...MESSAGES,
      { role: 'assistant', content: null, reasoning_content: 'why', tool_calls: [call] },
      { role: 'tool', tool_call_id: 'c', content: '1' },
      { role: 'assistant', content: 'So', prefix: true },
    ],
  })
  check({ response_format: { type: 'json_schema', json_schema: { name: 'response', schema: {}, strict: true } } })
  check({
    service_tier: 'flex',
    store: true,
    metadata: { a: 'b' },
    verbosity: 'low',
    plugins: [],
    modalities: ['text'],
  })
})

test('unknown fields survive in the body', () => {
  const body = decode({ guided_magic: { deep: [1] } }).body
  assert.deepEqual(body.guided_magic, { deep: [1] })
})

test('errors name the code and the parameter', () => {
  const check = (fields: JsonObject, code: string, param: string) =>
    assert.throws(
      () => decode(fields),
      (error: unknown) => {
        assert.ok(error instanceof ApiError, String(error))
        assert.deepEqual([error.code, error.param], [code, param], JSON.stringify(fields))
        return true
      },
    )
  check({ model: undefined }, 'missing_required_parameter', 'model')
  check({ model: '' }, 'invalid_value', 'model')
  check({ model: 7 }, 'invalid_value', 'model')
  check({ messages: undefined }, 'missing_required_parameter', 'messages')
  check({ messages: [] }, 'invalid_value', 'messages')
  check({ messages: {} }, 'invalid_value', 'messages')
  check({ messages: ['x'] }, 'invalid_value', 'messages[0]')
  check({ messages: [{ content: 'x' }] }, 'missing_required_parameter', 'messages[0].role')
  check({ messages: [...MESSAGES, { role: 'robot', content: 'x' }] }, 'invalid_value', 'messages[1].role')
  check({ messages: [{ role: 'user' }] }, 'missing_required_parameter', 'messages[0].content')
  check({ messages: [{ role: 'user', content: 5 }] }, 'invalid_value', 'messages[0].content')
  for (const type of ['input_audio', 'video_url', 'file']) {
    const content = [{ type: 'text', text: 'a' }, { type }]
    check({ messages: [{ role: 'user', content }] }, 'unsupported_parameter', 'messages[0].content[1]')
  }
  check({ messages: [{ role: 'user', content: [{ type: 'text' }] }] }, 'invalid_value', 'messages[0].content[0].text')
  check({ messages: [{ role: 'user', content: [{}] }] }, 'missing_required_parameter', 'messages[0].content[0].type')
  check({ messages: [{ role: 'tool', content: 'x' }] }, 'missing_required_parameter', 'messages[0].tool_call_id')
  const wrong = [{ id: 'c', type: 'function', function: { name: 'a', arguments: {} } }]
  check(
    { messages: [{ role: 'assistant', tool_calls: wrong }] },
    'invalid_value',
    'messages[0].tool_calls[0].function.arguments',
  )
  check({ n: 0 }, 'invalid_value', 'n')
  check({ n: 129 }, 'invalid_value', 'n')
  check({ n: 1.5 }, 'invalid_value', 'n')
  check({ temperature: 2.1 }, 'invalid_value', 'temperature')
  check({ temperature: '1' }, 'invalid_value', 'temperature')
  check({ max_tokens: 0 }, 'invalid_value', 'max_tokens')
  check({ stream: 'yes' }, 'invalid_value', 'stream')
  check({ stream_options: { include_usage: 1 } }, 'invalid_value', 'stream_options.include_usage')
  check({ stop: Array(17).fill('x') }, 'invalid_value', 'stop')
  check({ stop: ['x', 3] }, 'invalid_value', 'stop[1]')
  check({ logit_bias: { word: 1 } }, 'invalid_value', 'logit_bias')
  check({ logit_bias: { 5: 101 } }, 'invalid_value', 'logit_bias.5')
  check({ top_logprobs: 2 }, 'invalid_value', 'top_logprobs')
  check({ logprobs: true, top_logprobs: 21 }, 'invalid_value', 'top_logprobs')
  check({ tools: [{ type: 'custom', custom: {} }] }, 'missing_required_parameter', 'tools[0].custom.name')
  check({ tools: [{ type: 'web_search' }] }, 'invalid_value', 'tools[0].type')
  check({ tools: [{ type: 'function', function: { name: 'a b' } }] }, 'invalid_value', 'tools[0].function.name')
  check(
    { tools: [{ type: 'function', function: { name: 'a', parameters: 'x' } }] },
    'invalid_value',
    'tools[0].function.parameters',
  )
  check({ tool_choice: 'required' }, 'invalid_value', 'tool_choice')
  check({ tools: TOOLS, tool_choice: 'maybe' }, 'invalid_value', 'tool_choice')
  check({ tools: TOOLS, tool_choice: { type: 'custom' } }, 'unsupported_parameter', 'tool_choice.type')
  const named = (name: string) => ({ type: 'function', function: { name } })
  check({ tools: TOOLS, tool_choice: named('c') }, 'invalid_value', 'tool_choice.function.name')
  check({ response_format: { type: 'regex' } }, 'invalid_value', 'response_format.type')
  check({ response_format: { type: 'json_schema' } }, 'missing_required_parameter', 'response_format.json_schema')
  check({ reasoning_effort: 3 }, 'invalid_value', 'reasoning_effort')
  check({ thinking: { type: 'sometimes' } }, 'invalid_value', 'thinking.type')
  check({ modalities: ['text', 'audio'] }, 'unsupported_parameter', 'modalities')
  check({ chat_template_kwargs: [] }, 'invalid_value', 'chat_template_kwargs')
})

test('the input bound holds the text twice for what templates write again', () => {
  const base = decode({}).inputTokensBound
  const text = '好'.repeat(1000)
  assert.ok(decode({ messages: [{ role: 'user', content: text }] }).inputTokensBound >= Buffer.byteLength(text))
  const tools = [{ type: 'function', function: { name: 'a', description: text } }]
  assert.ok(decode({ tools }).inputTokensBound - base >= 2 * Buffer.byteLength(text) + 1024)
  const schema = { description: text }
  const format = { type: 'json_schema', json_schema: { name: 's', schema } }
  assert.ok(decode({ response_format: format }).inputTokensBound - base >= 2 * Buffer.byteLength(text))
})

test('any JSON object is read or refused with an ApiError', () => {
  const names = [
    'model',
    'messages',
    'tools',
    'tool_choice',
    'stop',
    'n',
    'logit_bias',
    'response_format',
    'functions',
    'reasoning',
  ]
  const field = fc.tuple(fc.constantFrom(...names, 'role', 'content', 'type', 'function'), fc.jsonValue())
  fc.assert(
    fc.property(fc.array(field), fc.boolean(), (fields, bare) => {
      const body = { ...(bare ? {} : { model: 'm', messages: MESSAGES }), ...Object.fromEntries(fields) }
      try {
        decodeChat(Buffer.from(JSON.stringify(body)), 'req_1')
      } catch (error) {
        assert.ok(error instanceof ApiError, String(error))
      }
    }),
  )
})
