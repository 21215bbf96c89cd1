import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../../errors.ts'
import type { JsonObject } from '../../inference/request.ts'
import type { ModelCapabilities } from '../../inference/snapshot.ts'
import { USAGE_ABSENT } from '../../inference/usage.ts'
import { generateRouteOf } from '../surface.ts'
import { decodeNow } from '../testing.ts'
import { DEEPINFRA_INFERENCE } from './codec.ts'

const CAN = { chat: true, completion: true, tools: false, reasoning: false, jsonSchema: true, logprobs: false }
const MODELS: Readonly<Record<string, ModelCapabilities>> = {
  'meta/text': CAN,
  'meta/logprobs': { ...CAN, logprobs: true },
  'qwen/embed': { ...CAN, chat: false, completion: false, embeddings: true },
  'qwen/rank': { ...CAN, chat: false, completion: false, rerank: true },
}
const TOTALS = {
  usage: {
    ...USAGE_ABSENT,
    inputTokens: 7,
    inputSource: 'reported' as const,
    outputTokens: 3,
    outputSource: 'reported' as const,
  },
  chargeNanodollars: 1_500n,
  durationMs: 12.4,
}
const STATUS = {
  status: 'succeeded',
  runtime_ms: 12,
  cost: 0.0000015,
  tokens_generated: 3,
  tokens_input: 7,
}

const decode = (pathModel: string, body: JsonObject) =>
  decodeNow(DEEPINFRA_INFERENCE, body, 'req_1', {
    surface: 'deepinfra',
    pathModel,
    capabilitiesOf: model => MODELS[model],
  })

function encoderOf(pathModel: string, body: JsonObject) {
  return DEEPINFRA_INFERENCE.encoder(decode(pathModel, body), 'public', 1)
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8')

test('the path names the model, slashes and all', () => {
  const check = (path: string, pathModel: string | undefined) =>
    assert.equal(generateRouteOf(path)?.pathModel, pathModel)
  check('/v1/inference/meta-llama/Meta-Llama-3-8B', 'meta-llama/Meta-Llama-3-8B')
  check('/v1/inference/meta-llama%2FMeta', 'meta-llama/Meta')
  check('/v1/inference/deploy/abc', 'deploy/abc')
  check('/v1/inference/%', undefined)
  check('/v1/inference/', '')
  check('/v1/inference', undefined)
  assert.throws(() => decode('deploy/abc', {}), { code: 'not_found' })
  assert.throws(() => decode('meta/other', { input: 'x' }), { code: 'model_not_found' })
})

test('text: the native names become those of a completion', () => {
  const request = decode('meta/text', {
    input: '<s>hi',
    max_new_tokens: 5,
    temperature: 0.5,
    top_p: 0.9,
    top_k: 40,
    repetition_penalty: 1.1,
    num_responses: 2,
    stop: ['</s>'],
    seed: 3,
    response_format: { type: 'text' },
    unknown: 1,
  })
  assert.deepEqual(request.input, { kind: 'text', prompts: ['<s>hi'], echo: false })
  assert.deepEqual(request.body, {
    model: 'meta/text',
    prompt: '<s>hi',
    max_tokens: 5,
    n: 2,
    temperature: 0.5,
    top_p: 0.9,
    top_k: 40,
    repetition_penalty: 1.1,
    stop: ['</s>'],
    seed: 3,
    unknown: 1,
  })
  assert.deepEqual([request.n, request.outputTokensMax, request.sampling.topK], [2, 5, 40])
  assert.equal(decode('meta/text', { input: 'x' }).outputTokensMax, 512)
  assert.equal(decode('meta/text', { input: 'x', max_new_tokens: null }).outputTokensMax, 512)
})

test('embeddings: the instruction is put before every input', () => {
  const request = decode('qwen/embed', {
    inputs: ['a', 'b'],
    custom_instruction: 'Find: ',
    dimensions: 8,
    normalize: true,
  })
  assert.deepEqual(request.input, { kind: 'embed', inputs: ['Find: a', 'Find: b'], dimensions: 8 })
  assert.deepEqual(request.body, { model: 'qwen/embed', input: ['Find: a', 'Find: b'], dimensions: 8 })
  assert.equal(request.inputTokensBound, 2 * (7 + 16))
  assert.deepEqual(decode('qwen/embed', { inputs: 'a' }).input, { kind: 'embed', inputs: ['a'], dimensions: undefined })
})

test('rerank: one query, or the same for every document', () => {
  const check = (queries: unknown) =>
    assert.deepEqual(decode('qwen/rank', { queries, documents: ['a', 'b'], instruction: 'i' }).body, {
      model: 'qwen/rank',
      query: 'q',
      documents: ['a', 'b'],
      return_documents: false,
      instruction: 'i',
    })
  check('q')
  check(['q'])
  check(['q', 'q'])
})

test('errors name the field, of the work that the model does where nothing says which', () => {
  const check = (model: string, body: JsonObject, code: string, param: string) =>
    assert.throws(
      () => decode(model, body),
      (error: unknown) => error instanceof ApiError && error.code === code && error.param === param,
      JSON.stringify(body),
    )
  check('meta/text', {}, 'missing_required_parameter', 'input')
  check('qwen/embed', {}, 'missing_required_parameter', 'inputs')
  check('qwen/rank', { documents: ['a'] }, 'missing_required_parameter', 'queries')
  check('meta/text', { input: '' }, 'invalid_value', 'input')
  check('meta/text', { input: 'x', max_new_tokens: 0 }, 'invalid_value', 'max_new_tokens')
  check('meta/text', { input: 'x', stream: true, num_responses: 2 }, 'invalid_value', 'num_responses')
  check(
    'meta/text',
    { input: 'x', response_format: { type: 'json_object' } },
    'unsupported_parameter',
    'response_format',
  )
  check('qwen/embed', { inputs: [] }, 'invalid_value', 'inputs')
  check('qwen/embed', { inputs: Array(1025).fill('x') }, 'invalid_value', 'inputs')
  check('qwen/embed', { inputs: ['x'], image: 'data:' }, 'unsupported_parameter', 'image')
  check('qwen/rank', { queries: ['q'], documents: [] }, 'invalid_value', 'documents')
  check('qwen/rank', { queries: ['q', 'q'], documents: ['a'] }, 'invalid_value', 'queries')
  check('qwen/rank', { queries: ['q', 'r'], documents: ['a', 'b'] }, 'unsupported_parameter', 'queries')
})

test('a whole text is told with its counts and what it cost', () => {
  const encoder = encoderOf('meta/text', { input: 'x', num_responses: 2 })
  encoder.delta({ type: 'delta', choice: 1, content: 'two', tokens: 1 })
  encoder.delta({ type: 'delta', choice: 0, content: 'on', tokens: 1 })
  encoder.delta({ type: 'delta', choice: 0, content: 'e', tokens: 1 })
  assert.equal(encoder.finished, false)
  encoder.finish(0, 'stop')
  encoder.finishOpen('length')
  assert.equal(encoder.finished, true)
  assert.deepEqual(JSON.parse(text(encoder.complete(TOTALS))), {
    request_id: 'req_1',
    inference_status: STATUS,
    results: [{ generated_text: 'one' }, { generated_text: 'two' }],
    num_tokens: 3,
    num_input_tokens: 7,
  })
})

test('a stream has an event a token, and the whole text only in the last', () => {
  const encoder = encoderOf('meta/logprobs', { input: 'x', stream: true })
  assert.equal(decode('meta/logprobs', { input: 'x', stream: true }).sampling.topLogprobs, 0)
  const token = (token: string, logprob: number) => ({ token, bytes: [], logprob, top: [] })
  const frames = [
    encoder.delta({
      type: 'delta',
      choice: 0,
      content: ', where',
      tokens: 2,
      logprobs: [token(',', -2.5), token(' where', -0.25)],
    }),
    // Half a character: the tokens do not spell the text.
    encoder.delta({ type: 'delta', choice: 0, content: 'é', tokens: 1, logprobs: [token('�', -1), token('�', -1)] }),
    encoder.delta({ type: 'delta', choice: 0, content: '', tokens: 0 }),
    encoder.finish(0, 'length'),
  ]
  assert.equal(
    frames.map(text).join(''),
    [
      'data: {"token":{"id":null,"text":",","logprob":-2.5,"special":false},"generated_text":null,"details":null}\n\n',
      'data: {"token":{"id":null,"text":" where","logprob":-0.25,"special":false},"generated_text":null,"details":null}\n\n',
      'data: {"token":{"id":null,"text":"é","logprob":null,"special":false},"generated_text":null,"details":null}\n\n',
    ].join(''),
  )
  const last = text(encoder.complete(TOTALS))
  assert.match(last, /^data: .*\n\n$/)
  assert.deepEqual(JSON.parse(last.slice(6)), {
    token: { id: null, text: '', logprob: null, special: true },
    generated_text: ', whereé',
    details: { finish_reason: 'length', generated_tokens: 3, input_tokens: 7, seed: null },
    num_output_tokens: 3,
    num_input_tokens: 7,
    estimated_cost: 0.0000015,
  })
})

test('vectors and scores keep the order of what was sent', () => {
  const embed = encoderOf('qwen/embed', { inputs: ['a', 'b'], normalize: true })
  embed.embedding?.({ type: 'embedding', index: 1, vector: Float32Array.from([0, 2]) })
  embed.embedding?.({ type: 'embedding', index: 0, vector: Float32Array.from([-4, 0]) })
  embed.finish(0, 'stop')
  assert.deepEqual(JSON.parse(text(embed.complete(TOTALS))), {
    embeddings: [
      [-1, 0],
      [0, 1],
    ],
    input_tokens: 7,
    request_id: 'req_1',
    inference_status: STATUS,
  })
  const rank = encoderOf('qwen/rank', { queries: ['q'], documents: ['a', 'b'] })
  rank.score?.({ type: 'score', index: 1, score: 0.75 })
  rank.score?.({ type: 'score', index: 0, score: 0.25 })
  rank.finish(0, 'stop')
  const told = JSON.parse(text(rank.complete(TOTALS)))
  assert.deepEqual([told.scores, told.input_tokens], [[0.25, 0.75], 7])
})

test('an error has the form that its clients read', () => {
  const error = new ApiError('upstream_error', 'It broke.')
  assert.deepEqual(JSON.parse(text(encoderOf('meta/text', { input: 'x' }).error(error))), {
    detail: { error: 'It broke.' },
    error: 'It broke.',
    code: 'upstream_error',
  })
  assert.match(text(encoderOf('meta/text', { input: 'x', stream: true }).error(error)), /^data: \{"detail":.*\}\n\n$/)
})

test('a body with a webhook wants its result sent there', () => {
  const detach = (body: JsonObject) => DEEPINFRA_INFERENCE.detach?.(Buffer.from(JSON.stringify(body)))
  assert.equal(detach({ input: 'x' }), null)
  assert.equal(detach({ input: 'about "webhook"' }), null)
  assert.equal(detach({ input: 'x', webhook: null }), null)
  const found = detach({ input: 'x', webhook: 'https://example.com/hook' })
  assert.equal(found?.url, 'https://example.com/hook')
  assert.deepEqual(found?.queued('req_1'), {
    request_id: 'req_1',
    inference_status: { status: 'queued', runtime_ms: 0, cost: 0, tokens_generated: 0, tokens_input: 0 },
  })
  assert.throws(() => detach({ input: 'x', stream: true, webhook: 'https://example.com/' }), { param: 'stream' })
})
