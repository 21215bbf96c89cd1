import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { JsonObject } from '../../inference/request.ts'
import { type NormalisedUsage, normaliseUsage, UsageReader, type UsageShape } from './usage-normaliser.ts'

/** `input cached write output reasoning`, each a count followed by its source: r(eported) or - (absent); then the cost. */
function told(normalised: NormalisedUsage | undefined): string {
  if (normalised === undefined) return 'nothing'
  const { usage, reportedCostNanodollars: cost } = normalised
  const counts = [
    [usage.inputTokens, usage.inputSource],
    [usage.cachedInputTokens, usage.cachedInputSource],
    [usage.cacheWriteTokens, usage.cacheWriteSource],
    [usage.outputTokens, usage.outputSource],
    [usage.reasoningTokens, usage.reasoningSource],
  ] as const
  const words = counts.map(([count, source]) => `${count}${source === 'reported' ? 'r' : '-'}`)
  return [...words, ...(cost === undefined ? [] : [`$${cost}`])].join(' ')
}

function check(shape: UsageShape, raw: unknown, expected: string, extra?: object): void {
  const normalised = normaliseUsage(shape, raw)
  assert.equal(told(normalised), expected, JSON.stringify(raw))
  assert.deepEqual(normalised?.extra, extra)
}

function checkFrames(shape: UsageShape, frames: readonly JsonObject[], expected: readonly string[]): void {
  const reader = new UsageReader(shape)
  assert.deepEqual(
    frames.map(frame => told(reader.read(frame))),
    expected,
  )
}

const chat = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }

test('chat: every way of counting', () => {
  const is = (raw: unknown, expected: string, extra?: object) => check('openai-chat', raw, expected, extra)
  is(chat, '10r 0- 0- 5r 0-')
  is({ ...chat, prompt_tokens_details: null, completion_tokens_details: null }, '10r 0- 0- 5r 0-')
  is({ ...chat, prompt_tokens_details: { cached_tokens: 0 } }, '10r 0r 0- 5r 0-')
  is({ ...chat, prompt_tokens_details: { cached_tokens: null } }, '10r 0- 0- 5r 0-')
  is({ ...chat, prompt_tokens_details: { cached_tokens: 4, cache_write_tokens: 3 } }, '10r 4r 3r 5r 0-')
  is({ ...chat, prompt_cache_hit_tokens: 6, prompt_cache_miss_tokens: 4 }, '10r 6r 0- 5r 0-')
  is({ completion_tokens: 5, prompt_cache_hit_tokens: 6, prompt_cache_miss_tokens: 4 }, '10r 6r 0- 5r 0-')
  is({ completion_tokens: 5, prompt_cache_miss_tokens: 4 }, '0- 0- 0- 5r 0-')
  is({ ...chat, cached_tokens: 7 }, '10r 7r 0- 5r 0-')
  is({ ...chat, completion_tokens_details: { reasoning_tokens: 2 } }, '10r 0- 0- 5r 2r')
  is({ ...chat, reasoning_tokens: 2 }, '10r 0- 0- 5r 2r')
  is({ prompt_tokens: 0, completion_tokens: 0 }, '0r 0- 0- 0r 0-')
})

test('chat: of several names for one count the one that was measured', () => {
  const is = (more: object, expected: string) => check('openai-chat', { ...chat, ...more }, expected)
  is({ prompt_tokens_details: { cached_tokens: 0 }, prompt_cache_hit_tokens: 6 }, '10r 6r 0- 5r 0-')
  is({ prompt_tokens_details: { cached_tokens: 0 }, cache_read_input_tokens: 8 }, '10r 8r 0- 5r 0-')
  is({ prompt_tokens_details: { cached_tokens: 4, cache_creation_tokens: 3 } }, '10r 4r 3r 5r 0-')
  is({ cache_creation_input_tokens: 3, cache_read_input_tokens: 0 }, '10r 0r 3r 5r 0-')
  is({ completion_tokens_details: { reasoning_tokens: 0 }, reasoning_tokens: 3 }, '10r 0- 0- 5r 3r')
})

test('chat: what was left out of its whole, shown by the total', () => {
  const is = (raw: unknown, expected: string) => check('openai-chat', raw, expected)
  // As xAI reports: 10120 + 1499 + 2809 = 14428.
  is(
    {
      prompt_tokens: 10120,
      completion_tokens: 1499,
      total_tokens: 14428,
      completion_tokens_details: { reasoning_tokens: 2809 },
    },
    '10120r 0- 0- 4308r 2809r',
  )
  is({ ...chat, total_tokens: 17, completion_tokens_details: { reasoning_tokens: 2 } }, '10r 0- 0- 7r 2r')
  is({ ...chat, total_tokens: 105, prompt_tokens_details: { cached_tokens: 90 } }, '100r 90r 0- 5r 0-')
  is(
    { ...chat, total_tokens: 105, prompt_tokens_details: { cached_tokens: 60, cache_write_tokens: 30 } },
    '100r 60r 30r 5r 0-',
  )
  is(
    { ...chat, total_tokens: 108, cached_tokens: 90, completion_tokens_details: { reasoning_tokens: 3 } },
    '100r 90r 0- 8r 3r',
  )
  // The total says nothing that helps: clamped, in the customer's favour.
  is({ ...chat, prompt_tokens_details: { cached_tokens: 99 } }, '10r 10r 0- 5r 0-')
  is({ ...chat, prompt_tokens_details: { cached_tokens: 8, cache_write_tokens: 8 } }, '10r 8r 2r 5r 0-')
  is({ ...chat, completion_tokens_details: { reasoning_tokens: 7 } }, '10r 0- 0- 5r 5r')
  is({ ...chat, total_tokens: 999, completion_tokens_details: { reasoning_tokens: 2 } }, '10r 0- 0- 5r 2r')
})

test('what is no count is absent, never zero', () => {
  for (const wrong of [
    null,
    undefined,
    -1,
    10.5,
    '',
    ' ',
    '-1',
    '10.5',
    '1e3',
    'ten',
    true,
    [10],
    {},
    1e15,
    Number.NaN,
  ]) {
    check('openai-chat', { ...chat, prompt_tokens: wrong }, '0- 0- 0- 5r 0-')
    check('openai-chat', { ...chat, prompt_tokens_details: { cached_tokens: wrong } }, '10r 0- 0- 5r 0-')
    check('openai-responses', { input_tokens: wrong, output_tokens: 5 }, '0- 0- 0- 5r 0-')
    check('anthropic-messages', { input_tokens: wrong, output_tokens: 5 }, '0- 0- 0- 5r 0-')
    check('ollama', { prompt_eval_count: wrong, eval_count: 5 }, '0- 0- 0- 5r 0-')
    check('llama-timings', { prompt_n: wrong, cache_n: 1, predicted_n: 5 }, '0- 0- 0- 5r 0-')
  }
  check('openai-chat', JSON.parse('{"prompt_tokens":12.0,"completion_tokens":1.2e1}'), '12r 0- 0- 12r 0-')
  check('openai-chat', { prompt_tokens: '12', completion_tokens: '0' }, '12r 0- 0- 0r 0-')
  check('openai-chat', { prompt_tokens: -0, completion_tokens: 5 }, '0r 0- 0- 5r 0-')
  assert.ok(Object.is(normaliseUsage('openai-chat', { prompt_tokens: -0 })?.usage.inputTokens, 0))
  // A part of what is unknown is unknown.
  check('openai-chat', { completion_tokens: 5, prompt_tokens_details: { cached_tokens: 4 } }, '0- 0- 0- 5r 0-')
  for (const nothing of [null, undefined, {}, [], 'x', 7, { prompt_tokens: null }])
    check('openai-chat', nothing, 'nothing')
})

test('what the upstream takes from us is read exactly, and told to nobody', () => {
  const is = (more: object, expected: string, extra?: object) =>
    check('openai-chat', { ...chat, ...more }, `10r 0- 0- 5r 0-${expected}`, extra)
  is({ cost: 0.95 }, ' $950000000')
  is({ cost: 0 }, ' $0')
  is({ cost: null }, '')
  is({ cost: -1 }, '')
  is({ cost: '0.0000172' }, ' $17200')
  is({ cost: 0.1 + 0.2 }, ' $300000000')
  is({ estimated_cost: 1.72e-5 }, ' $17200')
  is({ estimated_cost: 1.5e-9 }, ' $2')
  is({ estimated_cost: 2.5e-9 }, ' $2')
  is({ estimated_cost: 1e30 }, '')
  is({ cost_in_usd_ticks: 232856000 }, ' $23285600')
  is({ cost: 0.001, is_byok: true, cost_details: { upstream_inference_cost: 0.02 } }, ' $21000000')
  is({ cost: 0.001, is_byok: false, cost_details: { upstream_inference_cost: 0.02 } }, ' $1000000')
  check('openai-chat', { cost: 0.5 }, '0- 0- 0- 0- 0- $500000000')
  is({ queue_time: 0.1, nothing: null, notice: 'x', prompt_tokens_details: { audio_tokens: 0 } }, '', {
    queue_time: 0.1,
    prompt_tokens_details: { audio_tokens: 0 },
  })
})

test('Responses: inclusive counts, at every end of a stream', () => {
  const usage = {
    input_tokens: 100,
    input_tokens_details: { cached_tokens: 80, cache_write_tokens: 8 },
    output_tokens: 30,
    output_tokens_details: { reasoning_tokens: 20 },
    total_tokens: 130,
  }
  check('openai-responses', usage, '100r 80r 8r 30r 20r')
  check(
    'openai-responses',
    { ...usage, input_tokens_details: { cached_tokens: 80, cache_write_tokens_details: { ttl_30m_tokens: 8 } } },
    '100r 80r 0- 30r 20r',
    { input_tokens_details: { cache_write_tokens_details: { ttl_30m_tokens: 8 } } },
  )
  for (const status of ['completed', 'incomplete', 'failed', 'cancelled']) {
    checkFrames(
      'openai-responses',
      [
        { type: 'response.created', response: { status: 'in_progress', usage: null } },
        { type: 'response.output_text.delta', delta: 'x' },
        { type: `response.${status}`, response: { status, usage } },
      ],
      ['nothing', 'nothing', '100r 80r 8r 30r 20r'],
    )
  }
  checkFrames('openai-responses', [{ object: 'response', usage }], ['100r 80r 8r 30r 20r'])
})

test('Messages: counts apart become one input', () => {
  const is = (raw: unknown, expected: string, extra?: object) => check('anthropic-messages', raw, expected, extra)
  is({ input_tokens: 3, output_tokens: 5 }, '3r 0- 0- 5r 0-')
  is({ input_tokens: 3, cache_read_input_tokens: null, output_tokens: 5 }, '3r 0- 0- 5r 0-')
  is(
    { input_tokens: 3, cache_creation_input_tokens: 12304, cache_read_input_tokens: 0, output_tokens: 550 },
    '12307r 0r 12304r 550r 0-',
  )
  const split = { ephemeral_5m_input_tokens: 456, ephemeral_1h_input_tokens: 100 }
  is({ input_tokens: 3, cache_creation: split, output_tokens: 5 }, '559r 0- 556r 5r 0-', { cache_creation: split })
  is(
    { input_tokens: 3, output_tokens: 50, output_tokens_details: { thinking_tokens: 40 }, service_tier: 'standard' },
    '3r 0- 0- 50r 40r',
    {
      service_tier: 'standard',
    },
  )
  is({ cache_read_input_tokens: 90, output_tokens: 5 }, '0- 0- 0- 5r 0-')
})

test('Messages: a stream tells it in two frames', () => {
  const start = (usage: object) => ({ type: 'message_start', message: { usage } })
  const delta = (usage: object) => ({ type: 'message_delta', delta: {}, usage })
  const is = (frames: readonly JsonObject[], ...expected: string[]) =>
    checkFrames('anthropic-messages', frames, expected)
  const cache = { cache_creation_input_tokens: 10, cache_read_input_tokens: 80 }
  is(
    [start({ input_tokens: 10, ...cache, output_tokens: 1 }), { type: 'ping' }, delta({ output_tokens: 15 })],
    '100r 80r 10r 0- 0-',
    'nothing',
    '100r 80r 10r 15r 0-',
  )
  // Cumulative: again the whole, not more of it.
  is(
    [start({ input_tokens: 10, ...cache, output_tokens: 1 }), delta({ input_tokens: 10, ...cache, output_tokens: 15 })],
    '100r 80r 10r 0- 0-',
    '100r 80r 10r 15r 0-',
  )
  is(
    [start({ input_tokens: 10, ...cache, output_tokens: 1 }), delta({ input_tokens: 10, output_tokens: 15 })],
    '100r 80r 10r 0- 0-',
    '100r 80r 10r 15r 0-',
  )
  // A place-holder first, the truth at the end.
  is(
    [start({ input_tokens: 0, output_tokens: 0 }), delta({ input_tokens: 10, ...cache, output_tokens: 15 })],
    'nothing',
    '100r 80r 10r 15r 0-',
  )
  is([start({ input_tokens: 0, output_tokens: 0 }), delta({ output_tokens: 15 })], 'nothing', '0- 0- 0- 15r 0-')
  // An estimate of the whole first, and at the end the cached part of it (DashScope).
  is(
    [
      start({ input_tokens: 3602, output_tokens: 0 }),
      delta({ cache_creation_input_tokens: 0, cache_read_input_tokens: 3604, output_tokens: 878 }),
    ],
    '3602r 0- 0- 0- 0-',
    '3602r 3602r 0r 878r 0-',
  )
})

test('Ollama and llama-server', () => {
  check('ollama', { prompt_eval_count: 26, eval_count: 298 }, '26r 0- 0- 298r 0-')
  check('ollama', { prompt_eval_count: 26, prompt_eval_cached_count: 20, eval_count: 298 }, '26r 20r 0- 298r 0-')
  check('ollama', { eval_count: 298 }, '0- 0- 0- 298r 0-')
  checkFrames(
    'ollama',
    [
      { done: false, eval_count: 1 },
      { done: true, eval_count: 2 },
    ],
    ['nothing', '0- 0- 0- 2r 0-'],
  )
  check('llama-timings', { prompt_n: 17, cache_n: 606, predicted_n: 3 }, '623r 606r 0- 3r 0-')
  // Without cache_n, prompt_n is only what happened to be new.
  check('llama-timings', { prompt_n: 17, predicted_n: 3 }, '0- 0- 0- 3r 0-')
  const timings = { prompt_n: 17, cache_n: 606, predicted_n: 3 }
  checkFrames(
    'openai-chat',
    [
      { choices: [{ finish_reason: 'stop' }], timings },
      { choices: [], usage: { prompt_tokens: 623, completion_tokens: 4 }, timings },
    ],
    ['623r 606r 0- 3r 0-', '623r 606r 0- 4r 0-'],
  )
})

test('chat: usage in many frames, of which the last counts', () => {
  const open = [{ index: 0, delta: { content: 'x' }, finish_reason: null }]
  const shut = [{ index: 0, delta: {}, finish_reason: 'stop' }]
  const frames = (...each: [choices: unknown, usage: unknown][]) => each.map(([choices, usage]) => ({ choices, usage }))
  const zero = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 }
  const running = (output: number) => ({ prompt_tokens: 812, completion_tokens: output })
  checkFrames('openai-chat', frames([open, null], [open, undefined], [shut, chat]), [
    'nothing',
    'nothing',
    '10r 0- 0- 5r 0-',
  ])
  checkFrames('openai-chat', frames([open, running(0)], [open, running(1)], [[], running(2)]), [
    '812r 0- 0- 0r 0-',
    '812r 0- 0- 1r 0-',
    '812r 0- 0- 2r 0-',
  ])
  // Zeros while the answer goes on, or after a count, have not been counted; at the end, alone, they have.
  checkFrames('openai-chat', frames([open, zero], [shut, zero]), ['nothing', '0r 0- 0- 0r 0-'])
  checkFrames('openai-chat', frames([open, zero], [shut, chat], [[], zero]), ['nothing', '10r 0- 0- 5r 0-', 'nothing'])
  // Details that a later frame leaves out stay.
  checkFrames('openai-chat', frames([shut, { ...chat, cached_tokens: 4 }], [[], chat]), [
    '10r 4r 0- 5r 0-',
    '10r 4r 0- 5r 0-',
  ])
  checkFrames('openai-chat', [{ choices: [{ ...shut[0], usage: chat }] }], ['10r 0- 0- 5r 0-'])
})

const SHAPES: readonly UsageShape[] = [
  'openai-chat',
  'openai-responses',
  'anthropic-messages',
  'llama-timings',
  'ollama',
]
const NAMES = [
  ...['prompt_tokens', 'completion_tokens', 'total_tokens', 'prompt_cache_hit_tokens', 'prompt_cache_miss_tokens'],
  ...[
    'reasoning_tokens',
    'cached_tokens',
    'input_tokens',
    'output_tokens',
    'cost',
    'estimated_cost',
    'prompt_n',
    'cache_n',
  ],
  ...['cache_read_input_tokens', 'cache_creation_input_tokens', 'predicted_n', 'prompt_eval_count', 'eval_count'],
  'prompt_eval_cached_count',
]
const NESTED = {
  prompt_tokens_details: ['cached_tokens', 'cache_write_tokens', 'cache_creation_tokens'],
  completion_tokens_details: ['reasoning_tokens'],
  input_tokens_details: ['cached_tokens', 'cache_write_tokens'],
  output_tokens_details: ['reasoning_tokens', 'thinking_tokens'],
  cache_creation: ['ephemeral_5m_input_tokens', 'ephemeral_1h_input_tokens'],
}
const value = fc.oneof(
  { weight: 6, arbitrary: fc.nat(50) },
  fc.integer(),
  fc.double(),
  fc.jsonValue({ maxDepth: 1 }),
  fc.nat(50).map(String),
)
const fields = (names: readonly string[]) =>
  fc.record(Object.fromEntries(names.map(name => [name, value])), { requiredKeys: [] })
const usageObject = fc
  .tuple(
    fields(NAMES),
    fc.record(
      Object.fromEntries(Object.entries(NESTED).map(([name, inner]) => [name, fc.oneof(fields(inner), value)])),
      { requiredKeys: [] },
    ),
  )
  .map(([flat, nested]): JsonObject => ({ ...flat, ...nested }))
const anything = fc.oneof({ weight: 4, arbitrary: usageObject }, fc.jsonValue())

function assertInvariants(normalised: NormalisedUsage | undefined): void {
  if (normalised === undefined) return
  const { usage, reportedCostNanodollars: cost } = normalised
  const counts = [
    [usage.inputTokens, usage.inputSource],
    [usage.cachedInputTokens, usage.cachedInputSource],
    [usage.cacheWriteTokens, usage.cacheWriteSource],
    [usage.outputTokens, usage.outputSource],
    [usage.reasoningTokens, usage.reasoningSource],
  ] as const
  for (const [count, source] of counts) {
    assert.ok(Number.isSafeInteger(count) && count >= 0 && !Object.is(count, -0))
    assert.ok(source === 'reported' || (source === 'absent' && count === 0))
  }
  assert.ok(usage.cachedInputTokens + usage.cacheWriteTokens <= usage.inputTokens)
  assert.ok(usage.reasoningTokens <= usage.outputTokens)
  assert.ok(cost === undefined || (typeof cost === 'bigint' && cost >= 0n))
}

test('whatever JSON comes, nothing is thrown and the invariants hold', () => {
  fc.assert(
    fc.property(fc.constantFrom(...SHAPES), anything, (shape, raw) => assertInvariants(normaliseUsage(shape, raw))),
    { numRuns: 2_000 },
  )
})

test('whatever frames come, the invariants hold, and the same frames told twice tell the same', () => {
  const frame = fc.oneof(
    fc.record({
      choices: fc.constantFrom([], [{ finish_reason: null }], [{ finish_reason: 'stop' }]),
      usage: anything,
    }),
    fc.record({ choices: fc.constant([]), timings: anything }),
    fc.record({ response: fc.record({ status: fc.constantFrom('in_progress', 'completed'), usage: anything }) }),
    fc.record({ message: fc.record({ usage: anything }) }),
    fc.dictionary(fc.constantFrom('usage', 'choices', 'message', 'response', 'timings', 'done'), fc.jsonValue()),
    usageObject.map(usage => ({ ...usage, done: true })),
  )
  fc.assert(
    fc.property(fc.constantFrom(...SHAPES), fc.array(frame, { maxLength: 6 }), (shape, frames) => {
      const reader = new UsageReader(shape)
      let last: NormalisedUsage | undefined
      for (const each of frames) {
        const usage = reader.read(each)
        assertInvariants(usage)
        last = usage ?? last
      }
      // Running totals are never added up: the last frame once more changes nothing.
      const again = frames.length === 0 ? undefined : reader.read(frames.at(-1) as JsonObject)
      if (again !== undefined) assert.deepEqual(again, last)
    }),
    { numRuns: 2_000 },
  )
})

test('cost is the decimal that was written, rounded half to even once', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 15n - 1n }), fc.integer({ min: 0, max: 15 }), (digits, places) => {
      const text = digits.toString().padStart(places + 1, '0')
      const decimal = places === 0 ? text : `${text.slice(0, -places)}.${text.slice(-places)}`
      const scale = 10n ** BigInt(places)
      const floor = (digits * 10n ** 9n) / scale
      const rest = 2n * ((digits * 10n ** 9n) % scale)
      const expected = rest > scale || (rest === scale && floor % 2n === 1n) ? floor + 1n : floor
      const withinReason = expected <= 10n ** 15n ? expected : undefined
      const cost = (value: unknown) => normaliseUsage('openai-chat', { ...chat, cost: value })?.reportedCostNanodollars
      assert.equal(cost(decimal), withinReason)
      // At most 15 digits: the double's shortest text is the same decimal.
      assert.equal(cost(JSON.parse(decimal.replace(/^0+(?=\d)/, ''))), withinReason)
    }),
  )
})
