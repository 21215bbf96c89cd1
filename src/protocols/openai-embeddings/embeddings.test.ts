import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../../errors.ts'
import type { JsonObject } from '../../inference/request.ts'
import { USAGE_ABSENT } from '../../inference/usage.ts'
import { decodeNow } from '../testing.ts'
import { fitVector, vectorBase64 } from '../vectors.ts'
import { OPENAI_EMBEDDINGS } from './codec.ts'

const decode = (fields: JsonObject, surface: 'openai' | 'openrouter' = 'openai') =>
  decodeNow(OPENAI_EMBEDDINGS, { model: 'm', input: 'hi', ...fields }, 'req_1', { surface })

const TOTALS = {
  usage: { ...USAGE_ABSENT, inputTokens: 7, inputSource: 'reported' as const },
  chargeNanodollars: 1_500n,
}

/** The answer to a body, whose vectors come in the order given. */
function answer(fields: JsonObject, vectors: readonly (readonly [index: number, values: readonly number[]])[]) {
  const encoder = OPENAI_EMBEDDINGS.encoder(decode(fields), 'public', 1)
  for (const [index, values] of vectors)
    encoder.embedding?.({ type: 'embedding', index, vector: Float32Array.from(values) })
  encoder.finish(0, 'stop')
  assert.equal(encoder.finished, true)
  return JSON.parse(Buffer.from(encoder.complete(TOTALS)).toString('utf8'))
}

test('inputs come in four shapes and are bounded from their bytes', () => {
  const check = (input: unknown, inputs: unknown, bound: number) => {
    const request = decode({ input })
    assert.deepEqual(request.input, { kind: 'embed', inputs, dimensions: undefined })
    assert.equal(request.inputTokensBound, bound)
    assert.equal(request.outputTokensMax, 0)
    assert.equal(request.stream, false)
  }
  check('héllo', ['héllo'], 6 + 16)
  check(['a', 'bc'], ['a', 'bc'], 3 + 32)
  check([1, 2, 3], [[1, 2, 3]], 3 + 16)
  check([[1, 2], [3], 'x'], [[1, 2], [3], 'x'], 4 + 48)
})

test('errors name the parameter', () => {
  const check = (fields: JsonObject, code: string, param: string) =>
    assert.throws(
      () => decode(fields),
      (error: unknown) => error instanceof ApiError && error.code === code && error.param === param,
      JSON.stringify(fields),
    )
  check({ input: undefined }, 'missing_required_parameter', 'input')
  check({ input: [] }, 'invalid_value', 'input')
  check({ input: Array(2049).fill('x') }, 'invalid_value', 'input')
  check({ input: ['x', 1] }, 'invalid_value', 'input[1]')
  check({ dimensions: 0 }, 'invalid_value', 'dimensions')
  check({ dimensions: 8193 }, 'invalid_value', 'dimensions')
  check({ encoding_format: 'hex' }, 'invalid_value', 'encoding_format')
  check({ model: '' }, 'invalid_value', 'model')
})

test('the answer is a list in the order of the inputs, with its cost', () => {
  assert.deepEqual(
    answer({ input: ['a', 'b'] }, [
      [1, [3, 4]],
      [0, [0.5, -2]],
    ]),
    {
      object: 'list',
      data: [
        { object: 'embedding', index: 0, embedding: [0.5, -2] },
        { object: 'embedding', index: 1, embedding: [3, 4] },
      ],
      model: 'public',
      usage: { prompt_tokens: 7, total_tokens: 7, estimated_cost: 0.0000015 },
    },
  )
})

test('base64 is little-endian float32', () => {
  const { data } = answer({ encoding_format: 'base64' }, [[0, [1, -2.5]]])
  assert.equal(data[0].embedding, Buffer.from([0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0]).toString('base64'))
  assert.equal(vectorBase64(new Float32Array(0)), '')
})

test('vectors are made as long as was asked', () => {
  const vector = Float32Array.from([3, 4, 12])
  assert.deepEqual([...fitVector(vector, 5)], [3, 4, 12, 0, 0])
  assert.deepEqual(
    [...fitVector(vector, 2)].map(value => value.toFixed(3)),
    ['0.600', '0.800'],
  )
  assert.equal(fitVector(vector, 3), vector)
  assert.equal(fitVector(vector, undefined), vector)
  assert.deepEqual([...fitVector(new Float32Array(3), 2)], [0, 0], 'a vector of zeros stays one')
  assert.deepEqual(answer({ dimensions: 4 }, [[0, [1, 2]]]).data[0].embedding, [1, 2, 0, 0])
})

test('clients of a surface find the cost under their name of it', () => {
  const encoder = OPENAI_EMBEDDINGS.encoder(decode({}, 'openrouter'), 'public', 1)
  encoder.embedding?.({ type: 'embedding', index: 0, vector: Float32Array.from([1]) })
  encoder.finish(0, 'stop')
  const { usage } = JSON.parse(
    Buffer.from(encoder.complete({ ...TOTALS, usageExtra: { audio_seconds: 1 } })).toString(),
  )
  assert.deepEqual(usage, {
    prompt_tokens: 7,
    total_tokens: 7,
    estimated_cost: 0.0000015,
    cost: 0.0000015,
    audio_seconds: 1,
  })
})

test('a vector that never came is a mistake of ours, and no answer', () => {
  const encoder = OPENAI_EMBEDDINGS.encoder(decode({ input: ['a', 'b'] }), 'public', 1)
  encoder.embedding?.({ type: 'embedding', index: 0, vector: Float32Array.from([1]) })
  assert.throws(() => encoder.complete(TOTALS), /vector 1 never came/)
  assert.throws(
    () => encoder.embedding?.({ type: 'embedding', index: 2, vector: new Float32Array(1) }),
    /not asked for/,
  )
})
