import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../../errors.ts'
import type { JsonObject } from '../../inference/request.ts'
import type { KeptReader } from '../protocol.ts'
import { OPENAI_RESPONSES } from './codec.ts'
import type { ResponsesRequest } from './decode.ts'
import { CODEC, requestOf } from './testing.ts'

/** What is kept: responses whose input and output are one word each, by id. */
function keptOf(responses: Readonly<Record<string, { status?: string; previous?: string }>>): KeptReader {
  return {
    async find(kind, id) {
      if (kind === 'response_item')
        return id.startsWith('msg_') ? JSON.stringify({ response: id.slice(4), output: 0 }) : null
      const found = responses[id]
      if (found === undefined) return null
      const { status = 'completed', previous: previous_response_id = null } = found
      const output = [
        { type: 'message', id: `msg_${id}`, role: 'assistant', content: [{ type: 'output_text', text: `${id}!` }] },
      ]
      return JSON.stringify({
        input: [{ type: 'message', id: 'in', role: 'user', content: id }],
        response: { id, status, previous_response_id, output },
      })
    },
  }
}

async function expanded(fields: JsonObject, kept: KeptReader | undefined): Promise<ResponsesRequest> {
  const bytes = Buffer.from(JSON.stringify({ model: 'm', ...fields }))
  return (await CODEC.decode(bytes, { requestId: 'req_X', surface: 'openai', headers: {}, kept })) as ResponsesRequest
}

const textsOf = ({ body }: ResponsesRequest) => (body.messages as { content: string }[]).map(({ content }) => content)

function checkRefused(decode: () => unknown, code: string, param: string | null): void {
  assert.throws(decode, (error: unknown) => {
    assert.ok(error instanceof ApiError, String(error))
    assert.deepEqual([error.code, error.param], [code, param], error.message)
    return true
  })
}

test('options go on under the names that chat has for them', () => {
  const { body, outputTokensMax, sampling, input, serviceTier, cacheKey, endUserId, responses, n } = requestOf({
    ...{ max_output_tokens: 9, temperature: 1, top_logprobs: 2, reasoning: { effort: 'low' }, service_tier: 'flex' },
    ...{ prompt_cache_key: 'k', safety_identifier: 'u', parallel_tool_calls: false, top_k: 5, n: 4, stop: 'x' },
    ...{ text: { format: { type: 'json_schema', name: 's', schema: { type: 'object' } } }, client_metadata: { a: 1 } },
  })
  assert.ok(input.kind === 'chat')
  assert.deepEqual(
    [outputTokensMax, sampling.temperature, sampling.topLogprobs, sampling.topK, sampling.stop, n],
    [9, 1, 2, 5, ['x'], 1],
  )
  assert.deepEqual([serviceTier, cacheKey, endUserId, input.reasoningEffort], ['flex', 'k', 'u', 'low'])
  assert.deepEqual([input.parallelToolCalls, input.responseFormat.type], [false, 'json_schema'])
  assert.equal(body.client_metadata, undefined)
  assert.equal(body.store, undefined)
  assert.equal(responses.store, true)
})

test('the bound on the input is that of the whole conversation, not of the body', async () => {
  const kept = keptOf({ resp_a: {} })
  const alone = await expanded({ input: 'x' }, kept)
  const longer = await expanded({ input: 'x', previous_response_id: 'resp_a' }, kept)
  assert.ok(longer.inputTokensBound > alone.inputTokensBound + 2 * 'resp_a'.length)
})

test('a chain is put before the input, oldest first', async () => {
  const kept = keptOf({ a: {}, b: { previous: 'a' }, c: { previous: 'b' } })
  const request = await expanded({ input: 'x', previous_response_id: 'c' }, kept)
  assert.deepEqual(textsOf(request), ['a', 'a!', 'b', 'b!', 'c', 'c!', 'x'])
  assert.deepEqual(request.responses.input.length, 1)
})

test('references become what they refer to, also in what is kept of the request', async () => {
  const request = await expanded(
    {
      input: [
        { type: 'item_reference', id: 'msg_a' },
        { role: 'user', content: 'x' },
      ],
    },
    keptOf({ a: {} }),
  )
  assert.deepEqual(textsOf(request), ['a!', 'x'])
  assert.equal(request.responses.input[0]?.type, 'message')
})

test('what is not kept, not over, or too long is refused', async () => {
  const refusal = (fields: JsonObject, kept?: KeptReader) =>
    expanded(fields, kept).then(
      () => 'done',
      (error: ApiError) => `${error.code} ${error.param}`,
    )
  const after = (id: string) => ({ input: 'x', previous_response_id: id })
  const gone = 'previous_response_not_found previous_response_id'
  assert.equal(await refusal(after('a')), gone)
  assert.equal(await refusal(after('a'), keptOf({})), gone)
  assert.equal(await refusal(after('b'), keptOf({ b: { previous: 'a' } })), gone)
  assert.equal(
    await refusal(after('a'), keptOf({ a: { status: 'in_progress' } })),
    'invalid_value previous_response_id',
  )
  // However it came about: a chain that bites its own tail ends too.
  assert.equal(
    await refusal(after('a'), keptOf({ a: { previous: 'b' }, b: { previous: 'a' } })),
    'context_length_exceeded previous_response_id',
  )
  const reference = { input: [{ type: 'item_reference', id: 'rs_a' }] }
  assert.equal(await refusal(reference, keptOf({ a: {} })), 'invalid_value input[0].id')
})

test('faults are named as the client wrote them', () => {
  const image = { type: 'input_image', file_id: 'file_1' }
  const cases: [JsonObject, string, string][] = [
    [{ input: [] }, 'missing_required_parameter', 'input'],
    [{ input: 5 }, 'invalid_value', 'input'],
    [{ input: [{ role: 'nobody', content: 'x' }] }, 'invalid_value', 'input[0].role'],
    [
      { input: [{ role: 'user', content: [{ type: 'input_text' }] }] },
      'missing_required_parameter',
      'input[0].content[0].text',
    ],
    [{ input: [{ role: 'user', content: [image] }] }, 'unsupported_parameter', 'input[0].content[0]'],
    [{ input: [{ type: 'function_call_output', output: 'x' }] }, 'missing_required_parameter', 'input[0].call_id'],
    [{ input: [{ type: 'compaction', encrypted_content: 'hr1.x' }] }, 'invalid_value', 'input[0].encrypted_content'],
    [{ max_output_tokens: 0 }, 'invalid_value', 'max_output_tokens'],
    [{ tools: [{ type: 'function' }] }, 'missing_required_parameter', 'tools[0].name'],
    [{ tools: [{ type: 'function', name: 'a b' }] }, 'invalid_value', 'tools[0].name'],
    [{ text: { format: { type: 'xml' } } }, 'invalid_value', 'text.format.type'],
    [{ conversation: 'conv' }, 'unsupported_parameter', 'conversation'],
    [{ prompt: { id: 'pmpt' } }, 'unsupported_parameter', 'prompt'],
    [{ background: true, store: false }, 'invalid_value', 'background'],
    [{ metadata: { a: 1 } }, 'invalid_value', 'metadata.a'],
  ]
  for (const [fields, code, param] of cases) checkRefused(() => requestOf(fields), code, param)
})

test('items and tools that cannot be carried over are named', () => {
  const { dropped } = requestOf({
    input: [
      { role: 'user', content: 'x' },
      { type: 'web_search_call', id: 'ws' },
    ],
    tools: [{ type: 'web_search' }],
    truncation: 'auto',
  })
  assert.deepEqual(dropped, ['tools[0] (web_search)', 'truncation', 'input[1] (web_search_call)'])
})

test('where nothing is kept nothing is, and nothing runs in the background', () => {
  const body = (fields: object) => Buffer.from(JSON.stringify({ model: 'm', input: 'x', ...fields }))
  const context = { requestId: 'req_X', surface: 'openai', headers: {} } as const
  const request = OPENAI_RESPONSES.decode(body({ store: true }), context) as ResponsesRequest
  assert.equal(request.responses.store, false)
  checkRefused(() => OPENAI_RESPONSES.decode(body({ background: true }), context), 'invalid_value', 'background')
})
