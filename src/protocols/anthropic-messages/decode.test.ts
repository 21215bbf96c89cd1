import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../../errors.ts'
import type { InferenceRequest, JsonObject } from '../../inference/request.ts'
import type { DecodeContext } from '../protocol.ts'
import { decodeCountTokens, decodeMessages } from './decode.ts'

const HELLO = [{ role: 'user', content: 'Hello' }]
const LIGHT = { name: 'set_light', input_schema: { type: 'object' } }

function decode(fields: JsonObject, context: Partial<DecodeContext> = {}): InferenceRequest {
  const body = { model: 'm', max_tokens: 5, messages: HELLO, ...fields }
  return decodeMessages(Buffer.from(JSON.stringify(body)), {
    ...{ requestId: 'req_1', surface: 'anthropic', headers: {}, path: '/v1/messages' },
    ...context,
  })
}

test('a request becomes a chat', () => {
  const { body, inputTokensBound, ...request } = decode({ stream: true, system: 'Be brief.', top_k: 5, speed: 'fast' })
  assert.deepEqual(request, {
    ...{ id: 'req_1', protocol: 'anthropic-messages', surface: 'anthropic', model: 'm', stream: true, n: 1 },
    includeUsage: true,
    input: {
      kind: 'chat',
      messages: [{ role: 'system', content: 'Be brief.' }, ...HELLO],
      ...{ tools: [], toolChoice: 'none', parallelToolCalls: undefined, responseFormat: { type: 'text' } },
      reasoningEffort: undefined,
    },
    sampling: {
      ...{ temperature: undefined, topP: undefined, topK: 5, minP: undefined, seed: undefined, stop: [] },
      ...{ frequencyPenalty: undefined, presencePenalty: undefined, repetitionPenalty: undefined },
      ...{ logitBias: undefined, ignoreEos: undefined, topLogprobs: undefined },
    },
    ...{ outputTokensMax: 5, serviceTier: undefined, cacheKey: undefined, endUserId: undefined, dropped: ['speed'] },
  })
  assert.deepEqual(body.messages, request.input.kind === 'chat' && request.input.messages)
  assert.ok(inputTokensBound > Buffer.byteLength(JSON.stringify(body)))
})

test('what the model may call', () => {
  const input = (fields: JsonObject) => {
    const { input: chat } = decode({ tools: [LIGHT], ...fields })
    assert.ok(chat.kind === 'chat')
    return [chat.tools.length, chat.toolChoice, chat.parallelToolCalls]
  }
  assert.deepEqual(input({}), [1, 'auto', undefined])
  assert.deepEqual(input({ tool_choice: { type: 'any', disable_parallel_tool_use: true } }), [1, 'required', false])
  assert.deepEqual(input({ tools: [{ type: 'web_search_20250305', name: 'web_search' }] }), [0, 'none', undefined])
})

test('sessions are found wherever a client says them', () => {
  const check = (userId: string | undefined, headers: DecodeContext['headers'], cacheKey: string, user?: string) => {
    const request = decode({ metadata: { user_id: userId } }, { headers })
    assert.deepEqual([request.cacheKey, request.endUserId], [cacheKey, user], String(userId))
  }
  check('ann', {}, 'ann', 'ann')
  check('{"device_id":"d","account_uuid":"","session_id":"s"}', {}, 's', 'd')
  check('{"account_uuid":"a","session_id":"s"}', { 'x-claude-code-session-id': 'h' }, 'h', 'a')
  check('user_0a1b_account_1-2_session_3-4', {}, '3-4', 'user_0a1b_account_1-2')
  check('{broken', {}, '{broken', '{broken')
  check(undefined, { 'x-claude-code-session-id': 'h' }, 'h')
})

test('an image may be more tokens than it has bytes', () => {
  const image = { type: 'image', source: { type: 'url', url: 'https://a.example/b.png' } }
  assert.ok(decode({ messages: [{ role: 'user', content: [image] }] }).inputTokensBound > 16_384)
})

test('a limit has to be given where Anthropic demands one', () => {
  const { outputTokensMax } = decode({ max_tokens: undefined }, { path: '/anthropic/v1/messages' })
  assert.equal(outputTokensMax, undefined)
  refuses({ max_tokens: undefined }, 'missing_required_parameter', 'max_tokens')
  refuses({ max_tokens: 0 }, 'invalid_value', 'max_tokens')
})

function refuses(fields: JsonObject, code: string, param: string): void {
  assert.throws(
    () => decode(fields),
    (error: unknown) => {
      assert.ok(error instanceof ApiError, String(error))
      assert.deepEqual([error.code, error.param], [code, param], error.message)
      return true
    },
  )
}

test('what is wrong is named as the client wrote it', () => {
  const said = (...content: unknown[]) => ({ messages: [{ role: 'user', content }] })
  refuses({ model: undefined }, 'missing_required_parameter', 'model')
  refuses({ messages: [] }, 'invalid_value', 'messages')
  refuses({ messages: [{ role: 'tool', content: 'x' }] }, 'invalid_value', 'messages[0].role')
  refuses({ messages: [{ role: 'user' }] }, 'missing_required_parameter', 'messages[0].content')
  refuses(said({ type: 'text' }), 'missing_required_parameter', 'messages[0].content[0].text')
  refuses(said({ type: 'text', text: 1 }), 'invalid_value', 'messages[0].content[0].text')
  refuses(said({ text: 'x' }), 'missing_required_parameter', 'messages[0].content[0].type')
  refuses(
    said({ type: 'image', source: { type: 'base64' } }),
    'missing_required_parameter',
    'messages[0].content[0].source.media_type',
  )
  refuses(said({ type: 'image', source: { type: 'web' } }), 'invalid_value', 'messages[0].content[0].source.type')
  refuses(
    said({ type: 'tool_result', tool_use_id: 'a', content: [{ type: 'text' }] }),
    'missing_required_parameter',
    'messages[0].content[0].content[0].text',
  )
  refuses(said({ type: 'text', text: '' }), 'missing_required_parameter', 'messages[0].content')
  refuses({ tools: [{ name: 'f' }] }, 'missing_required_parameter', 'tools[0].input_schema')
  refuses({ tools: [{ name: 'a b', input_schema: {} }] }, 'invalid_value', 'tools[0].name')
  refuses({ tool_choice: { type: 'tool' } }, 'missing_required_parameter', 'tool_choice.name')
  refuses({ temperature: 3 }, 'invalid_value', 'temperature')
  refuses({ stop_sequences: Array(17).fill('x') }, 'invalid_value', 'stop_sequences')
  refuses(
    { output_config: { format: { type: 'json_schema' } } },
    'missing_required_parameter',
    'output_config.format.schema',
  )
})

test('to be counted, a request needs neither a limit nor what follows from it', () => {
  const body = { model: 'm', messages: HELLO, tools: [LIGHT] }
  const context = { requestId: 'req_1', surface: 'anthropic', headers: {} } as const
  const { input, outputTokensMax } = decodeCountTokens(body, 100, context)
  assert.deepEqual([input.kind === 'chat' && input.tools.length, outputTokensMax], [1, undefined])
})
