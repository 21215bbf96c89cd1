import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../../errors.ts'
import type { JsonObject } from '../../inference/request.ts'
import { USAGE_ABSENT } from '../../inference/usage.ts'
import { decodeNow } from '../testing.ts'
import { RERANK } from './codec.ts'

const decode = (fields: JsonObject) =>
  decodeNow(RERANK, { model: 'm', query: 'q', documents: ['a', { text: 'b' }, 'c'], ...fields }, 'req_1')

function answer(fields: JsonObject, scores: readonly number[]) {
  const encoder = RERANK.encoder(decode(fields), 'public', 1)
  for (const [index, score] of scores.entries()) encoder.score?.({ type: 'score', index, score })
  encoder.finish(0, 'stop')
  const usage = { ...USAGE_ABSENT, inputTokens: 9, inputSource: 'reported' as const, searchUnits: 1 }
  return JSON.parse(Buffer.from(encoder.complete({ usage, chargeNanodollars: 2_000_000n })).toString('utf8'))
}

test('documents are texts, and upstreams are asked for all scores', () => {
  const request = decode({ top_n: 1, return_documents: true, max_tokens_per_doc: 512 })
  assert.deepEqual(request.input, { kind: 'rerank', query: 'q', documents: ['a', 'b', 'c'] })
  assert.deepEqual(request.body, {
    model: 'm',
    query: 'q',
    documents: ['a', 'b', 'c'],
    return_documents: false,
    max_tokens_per_doc: 512,
  })
  assert.equal(request.inputTokensBound, 3 * (256 + 1) + 3)
})

test('results are sorted, equal ones as they were sent', () => {
  assert.deepEqual(answer({}, [0.25, 0.75, 0.25]), {
    id: 'rerank-1',
    object: 'rerank',
    model: 'public',
    results: [
      { index: 1, relevance_score: 0.75 },
      { index: 0, relevance_score: 0.25 },
      { index: 2, relevance_score: 0.25 },
    ],
    usage: { prompt_tokens: 9, total_tokens: 9, search_units: 1, estimated_cost: 0.002 },
    meta: { billed_units: { search_units: 1 } },
  })
})

test('the best few, with their texts, when asked for', () => {
  assert.deepEqual(answer({ top_n: 2, return_documents: true }, [-3, 0.5, 2]).results, [
    { index: 2, relevance_score: 2, document: { text: 'c' } },
    { index: 1, relevance_score: 0.5, document: { text: 'b' } },
  ])
  assert.equal(answer({ top_n: 50 }, [1, 2, 3]).results.length, 3)
})

test('errors name the parameter', () => {
  const check = (fields: JsonObject, code: string, param: string) =>
    assert.throws(
      () => decode(fields),
      (error: unknown) => error instanceof ApiError && error.code === code && error.param === param,
      JSON.stringify(fields),
    )
  check({ query: undefined }, 'missing_required_parameter', 'query')
  check({ query: '' }, 'invalid_value', 'query')
  check({ documents: undefined }, 'missing_required_parameter', 'documents')
  check({ documents: [] }, 'invalid_value', 'documents')
  check({ documents: Array(2049).fill('x') }, 'invalid_value', 'documents')
  check({ documents: ['x', { image: 'y' }] }, 'missing_required_parameter', 'documents[1].text')
  check({ top_n: 0 }, 'invalid_value', 'top_n')
})
