import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../../errors.ts'
import type { JsonObject } from '../../inference/request.ts'
import { decodeCompletion } from './decode.ts'

const decode = (fields: JsonObject) =>
  decodeCompletion(Buffer.from(JSON.stringify({ model: 'm', prompt: 'hi', ...fields })), 'req_1')

test('prompts come in four shapes', () => {
  const check = (prompt: unknown, prompts: unknown, bound: number) => {
    const request = decode({ prompt })
    assert.deepEqual(request.input, { kind: 'text', prompts, echo: false, suffix: undefined })
    assert.equal(request.inputTokensBound, bound)
  }
  check('héllo', ['héllo'], 6 + 16)
  check('', [''], 16)
  check(['a', 'bc'], ['a', 'bc'], 3 + 32)
  check([1, 2, 3], [[1, 2, 3]], 3 + 16)
  check([[1, 2], [3], 'x'], [[1, 2], [3], 'x'], 4 + 48)
})

test('defaults and options', () => {
  assert.equal(decode({}).outputTokensMax, 16)
  assert.equal(decode({ max_tokens: null }).outputTokensMax, 16)
  assert.equal(decode({ max_tokens: 0, echo: true, logprobs: 1 }).outputTokensMax, 0)
  assert.equal(decode({ logprobs: 1 }).sampling.topLogprobs, 1)
  assert.equal(decode({ logprobs: null }).sampling.topLogprobs, undefined)
  assert.equal(decode({ n: 2, best_of: 2 }).n, 2)
  const fim = decode({ suffix: 'end' })
  assert.deepEqual(fim.input, { kind: 'text', prompts: ['hi'], echo: false, suffix: 'end' })
  assert.equal(fim.inputTokensBound, 2 + 16 + 3)
})

test('errors name the code and the parameter', () => {
  const check = (fields: JsonObject, code: string, param: string) =>
    assert.throws(
      () => decode(fields),
      (error: unknown) => error instanceof ApiError && error.code === code && error.param === param,
      JSON.stringify(fields),
    )
  check({ prompt: undefined }, 'missing_required_parameter', 'prompt')
  check({ prompt: [] }, 'invalid_value', 'prompt')
  check({ prompt: {} }, 'invalid_value', 'prompt')
  check({ prompt: [1, 'x'] }, 'invalid_value', 'prompt[1]')
  check({ prompt: [1, -1] }, 'invalid_value', 'prompt[1]')
  check({ prompt: ['x', 1] }, 'invalid_value', 'prompt[1]')
  check({ prompt: ['x', [1.5]] }, 'invalid_value', 'prompt[1][0]')
  check({ prompt: ['x', []] }, 'invalid_value', 'prompt[1]')
  check({ prompt: Array(257).fill('x') }, 'invalid_value', 'prompt')
  check({ prompt: Array(100).fill('x'), n: 11 }, 'invalid_value', 'n')
  check({ best_of: 3 }, 'unsupported_parameter', 'best_of')
  check({ logprobs: 6 }, 'invalid_value', 'logprobs')
  check({ logprobs: true }, 'invalid_value', 'logprobs')
  check({ echo: 'yes' }, 'invalid_value', 'echo')
  check({ suffix: 1 }, 'invalid_value', 'suffix')
})
