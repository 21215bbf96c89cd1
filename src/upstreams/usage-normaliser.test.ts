import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { normaliseOpenAiUsage } from './usage-normaliser.ts'

/** `input cached write output reasoning`, each a count followed by its source: r(eported) or - (absent). */
function check(raw: unknown, expected: string, extra?: object): void {
  const normalised = normaliseOpenAiUsage(raw)
  assert.ok(normalised !== undefined, JSON.stringify(raw))
  const { usage } = normalised
  const counts = [
    [usage.inputTokens, usage.inputSource],
    [usage.cachedInputTokens, usage.cachedInputSource],
    [usage.cacheWriteTokens, usage.cacheWriteSource],
    [usage.outputTokens, usage.outputSource],
    [usage.reasoningTokens, usage.reasoningSource],
  ] as const
  assert.equal(
    counts.map(([count, source]) => `${count}${source === 'reported' ? 'r' : '-'}`).join(' '),
    expected,
    JSON.stringify(raw),
  )
  assert.deepEqual(normalised.extra, extra)
}

test('every way of counting', () => {
  const base = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }
  check(base, '10r 0- 0- 5r 0-')
  check({ ...base, prompt_tokens_details: null, completion_tokens_details: null }, '10r 0- 0- 5r 0-')
  check({ ...base, prompt_tokens_details: { cached_tokens: 0 } }, '10r 0r 0- 5r 0-')
  check({ ...base, prompt_tokens_details: { cached_tokens: null } }, '10r 0- 0- 5r 0-')
  check({ ...base, prompt_tokens_details: { cached_tokens: 4, cache_write_tokens: 3 } }, '10r 4r 3r 5r 0-')
  check({ ...base, prompt_cache_hit_tokens: 6, prompt_cache_miss_tokens: 4 }, '10r 6r 0- 5r 0-')
  check({ completion_tokens: 5, prompt_cache_hit_tokens: 6, prompt_cache_miss_tokens: 4 }, '10r 6r 0- 5r 0-')
  check({ ...base, prompt_tokens_details: { cached_tokens: 0 }, prompt_cache_hit_tokens: 6 }, '10r 0r 0- 5r 0-')
  check({ ...base, completion_tokens_details: { reasoning_tokens: 2 } }, '10r 0- 0- 5r 2r')
  check({ ...base, reasoning_tokens: 2 }, '10r 0- 0- 5r 2r')
})

test('what cannot be is clamped, cut or absent', () => {
  const base = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }
  check({ ...base, prompt_tokens_details: { cached_tokens: 99 } }, '10r 10r 0- 5r 0-')
  check({ ...base, prompt_tokens_details: { cached_tokens: 8, cache_write_tokens: 8 } }, '10r 8r 2r 5r 0-')
  check({ ...base, completion_tokens_details: { reasoning_tokens: 7 } }, '10r 0- 0- 5r 5r')
  check({ ...base, total_tokens: 22, completion_tokens_details: { reasoning_tokens: 7 } }, '10r 0- 0- 12r 7r')
  check({ prompt_tokens: 10.9, completion_tokens: 5.0 }, '10r 0- 0- 5r 0-')
  check({ prompt_tokens: -1, completion_tokens: 5 }, '0- 0- 0- 5r 0-')
  check({ prompt_tokens: '10', completion_tokens: 5 }, '0- 0- 0- 5r 0-')
  check({ prompt_tokens: 10, completion_tokens: null }, '10r 0- 0- 0- 0-')
  check({ prompt_tokens: 0, completion_tokens: 0 }, '0r 0- 0- 0r 0-')
  for (const nothing of [null, undefined, {}, [], 'x', 7, { prompt_tokens: null }, { prompt_tokens: Number.NaN }]) {
    assert.equal(normaliseOpenAiUsage(nothing), undefined)
  }
})

test('unknown fields travel on; what the upstream charges us does not', () => {
  check(
    {
      prompt_tokens: 1,
      completion_tokens: 1,
      queue_time: 0.1,
      cost: 5,
      estimated_cost: 5,
      cost_details: {},
      is_byok: false,
      nothing: null,
      prompt_tokens_details: { cached_tokens: 1, audio_tokens: 0 },
    },
    '1r 1r 0- 1r 0-',
    { queue_time: 0.1, prompt_tokens_details: { audio_tokens: 0 } },
  )
})

test('whatever comes, counts are whole, not negative, and parts are within their totals', () => {
  const number = fc.oneof(fc.double(), fc.integer(), fc.constant(null), fc.string())
  const names = ['prompt_tokens', 'completion_tokens', 'total_tokens', 'prompt_cache_hit_tokens', 'reasoning_tokens']
  const raw = fc.record(
    {
      ...Object.fromEntries(names.map(name => [name, number])),
      prompt_tokens_details: fc.record({ cached_tokens: number, cache_write_tokens: number }),
      completion_tokens_details: fc.record({ reasoning_tokens: number }),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(raw, object => {
      const usage = normaliseOpenAiUsage(object)?.usage
      if (usage === undefined) return
      const { inputTokens, cachedInputTokens, cacheWriteTokens, outputTokens, reasoningTokens } = usage
      for (const count of [inputTokens, cachedInputTokens, cacheWriteTokens, outputTokens, reasoningTokens]) {
        assert.ok(Number.isInteger(count) && count >= 0)
      }
      assert.ok(cachedInputTokens + cacheWriteTokens <= inputTokens)
      assert.ok(reasoningTokens <= outputTokens)
    }),
  )
})

test('a count beyond reason is as good as none', () => {
  const found = normaliseOpenAiUsage({ prompt_tokens: 5, completion_tokens: 1e15 })
  assert.equal(found?.usage.outputSource, 'absent')
  assert.equal(found?.usage.inputTokens, 5)
})
