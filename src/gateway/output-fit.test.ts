import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Quote } from '../admission/quote.ts'
import type { InferenceRequest } from '../inference/request.ts'
import type { Model } from '../inference/snapshot.ts'
import { outputTokensFit } from './output-fit.ts'

test('output that cannot fit in the context is asked for as far as it fits', () => {
  const check = (contentBytes: number, wish: number | undefined, expected: number | null | undefined) => {
    const request = {
      input: { kind: 'chat', messages: [{ role: 'user', content: 'x'.repeat(contentBytes) }] },
      outputTokensMax: wish,
    } as unknown as InferenceRequest
    const quote = {
      model: { contextTokens: 8192 } as Model,
      outputTokensMax: Math.min(wish ?? 8192, 8192),
      inputTokensBound: Math.min(contentBytes, 8192),
    } as Quote
    assert.equal(outputTokensFit(request, quote), expected, `${contentBytes} bytes, ${wish} wanted`)
  }
  check(100, 4000, undefined)
  check(100, undefined, undefined)
  check(100, 32_000, 8092)
  check(5000, 32_000, 3192)
  check(7500, 32_000, null)
  check(7500, 7000, undefined)
})
