import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDollars, parsePricePerMillion } from '../../ledger/money.ts'
import { PROVIDER_FORMATS } from './formats/formats.ts'
import type { ProviderFormat } from './provider-format.ts'
import { type ProviderUsage, providerUsage } from './provider-usage.ts'
import { type GapCause, type OurUsage, reconcile } from './reconcile.ts'

const COST = {
  inputPicodollars: parsePricePerMillion('1.00'),
  cachedInputPicodollars: parsePricePerMillion('0.10'),
  outputPicodollars: parsePricePerMillion('4.00'),
}
const HOURS = [0, 5, 9, 14, 20, 23]

/** Our usage of three days, in hours spread over each. 6,000 input (3,000 cached) and 1,200 output tokens a day, at $0.0081. */
const OURS: OurUsage[] = [30, 31, 32].flatMap(day =>
  HOURS.map((hour, index) => ({
    hourMs: Date.UTC(2026, 9, day, hour),
    model: 'v4',
    requests: 10,
    interrupted: index === 0 ? 2 : 0,
    inputTokens: 1_000 + (day - 31) * hour,
    cachedInputTokens: 500,
    outputTokens: 200 + hour,
    costNanodollars: null,
  })),
)

/** What a provider that counts as we do says, its days so many hours ahead of UTC. */
function mirrored(shiftHours = 0, ours = OURS): ProviderUsage[] {
  const days = Map.groupBy(ours, each => new Date(each.hourMs + shiftHours * 3_600_000).toISOString().slice(0, 10))
  return [...days].map(([day, hours]) => {
    const sum = (value: (each: OurUsage) => number) => hours.reduce((total, each) => total + value(each), 0)
    const [input, cached, output] = [
      sum(each => each.inputTokens),
      sum(each => each.cachedInputTokens),
      sum(each => each.outputTokens),
    ]
    return {
      day,
      model: 'V4',
      key: 'k',
      requests: sum(each => each.requests),
      inputTokens: input,
      cachedInputTokens: cached,
      outputTokens: output,
      costNanodollars:
        (BigInt(input - cached) * 1_000_000n + BigInt(cached) * 100_000n + BigInt(output) * 4_000_000n) / 1_000n,
      costRoundingNanodollars: 1n,
    }
  })
}

function check(
  name: string,
  theirs: readonly ProviderUsage[],
  causes: readonly GapCause[],
  exceeded: boolean,
  ours = OURS,
) {
  test(`reconcile: ${name}`, () => {
    const result = reconcile(ours, theirs, { toleranceParts: 1_000n, costs: new Map([['v4', COST]]) })
    assert.deepEqual([...new Set(result.lines.flatMap(line => line.causes.map(each => each.cause)))], causes)
    assert.equal(result.exceeded, exceeded)
  })
}

const changed = (change: (day: ProviderUsage) => Partial<ProviderUsage>, days = mirrored()) =>
  days.map((day, index) => (index === 1 ? { ...day, ...change(day) } : day))

check('the same', mirrored(), [], false)
check(
  'they know nothing of requests, cached and cost',
  mirrored().map(day => ({ ...day, requests: null, cachedInputTokens: null, costNanodollars: null })),
  [],
  false,
)
check(
  'within the tolerance',
  changed(day => ({ outputTokens: day.outputTokens + 1 })),
  [],
  false,
)
check('their day is that of Shanghai', mirrored(8).slice(0, 3), ['time_zone'], true)
check('their day is that of New York', mirrored(-4).slice(1), ['time_zone'], true)
check(
  'cached tokens counted as uncached',
  changed(() => ({ cachedInputTokens: 0 })),
  ['cached_as_uncached'],
  true,
)
check(
  'cached tokens billed in full, which only the cost shows',
  changed(day => ({
    cachedInputTokens: null,
    costNanodollars: (BigInt(day.inputTokens) * 1_000_000n + BigInt(day.outputTokens) * 4_000_000n) / 1_000n,
  })),
  ['cached_as_uncached'],
  true,
)
check(
  'work after an abort',
  changed(day => ({ outputTokens: day.outputTokens + 400 })),
  ['aborted_charged'],
  true,
)
check(
  'requests that did not come from here',
  changed(day => ({ requests: (day.requests ?? 0) + 5, inputTokens: day.inputTokens + 900 })),
  ['missing_here'],
  true,
)
check(
  'a day that we do not know',
  [...mirrored(), { ...(mirrored()[0] as ProviderUsage), day: '2026-11-02' }],
  ['missing_here'],
  true,
)
check(
  'requests that they do not have',
  changed(day => ({ requests: (day.requests ?? 0) - 5, inputTokens: day.inputTokens - 900 })),
  ['missing_there'],
  true,
)
check(
  'costs written in cents',
  mirrored().map(day => ({ ...day, costNanodollars: 10_000_000n, costRoundingNanodollars: 5_000_000n })),
  ['rounding'],
  false,
)
check(
  'a price of a quarter more',
  changed(day => ({ costNanodollars: ((day.costNanodollars ?? 0n) * 5n) / 4n })),
  ['price_change'],
  true,
)
check(
  'more input for nothing',
  changed(day => ({ inputTokens: day.inputTokens + 500, costNanodollars: null })),
  ['unknown'],
  true,
)
check(
  'costs that we know ourselves',
  mirrored().map(day => ({ ...day, costNanodollars: 6_000_000_000n })),
  ['price_change'],
  true,
  OURS.map(each => ({ ...each, costNanodollars: 500_000_000n })),
)

test('the shift of days is told', () => {
  const { zoneHours, lines } = reconcile(OURS, mirrored(8).slice(0, 3), { toleranceParts: 0n })
  // Any shift by which the same hours change their day explains it; of those the smallest is told.
  assert.deepEqual(zoneHours === null ? null : mirrored(zoneHours).slice(0, 3), mirrored(8).slice(0, 3))
  assert.match(lines.flatMap(line => line.causes)[0]?.text ?? '', /they count by UTC\+\d/)
})

function readCheck(name: string, provider: string, text: string, expected: Partial<ProviderUsage>[], map = {}) {
  test(`reading ${name}`, () => {
    const found = providerUsage(text, PROVIDER_FORMATS[provider] as ProviderFormat, map)
    assert.equal(found.length, expected.length)
    for (const [index, each] of expected.entries())
      assert.deepEqual(Object.fromEntries(Object.keys(each).map(key => [key, found[index]?.[key as 'day']])), each)
  })
}

readCheck(
  'the usage export with days as seconds, keys and empty days',
  'openai',
  'start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,service_tier,input_tokens,output_tokens,input_cached_tokens\n' +
    '1759622400,1759708800,2025-10-05T00:00:00+00:00,2025-10-06T00:00:00+00:00,proj,12,,key_a,gpt-x,,,1000,200,400\n' +
    '1759622400,1759708800,2025-10-05T00:00:00+00:00,2025-10-06T00:00:00+00:00,proj,3,,key_b,gpt-x,,,10,2,\n' +
    '1759708800,1759795200,2025-10-06T00:00:00+00:00,2025-10-07T00:00:00+00:00,,,,,,,,,,\n',
  'ab'.split('').map((key, index) => ({
    day: '2025-10-05',
    model: 'gpt-x',
    key: `key_${key}`,
    requests: index === 0 ? 12 : 3,
    inputTokens: index === 0 ? 1_000 : 10,
    cachedInputTokens: index === 0 ? 400 : null,
    costNanodollars: null,
  })),
)
readCheck(
  'one row for each generation, costs with an exponent',
  'openrouter',
  'generation_id,created_at,cost_total,tokens_prompt,tokens_completion,tokens_reasoning,tokens_cached,model_permaslug,api_key_name\n' +
    'g1,2026-10-31 23:59:59.123,0.0123,100,20,5,40,v4,prod\ng2,2026-10-31T23:59:59-02:00,1.25e-05,10,2,0,0,v4,prod\ng3,2026-10-31 01:00:00,0.1,1,1,0,0,v4,prod\n',
  [
    {
      day: '2026-10-31',
      requests: 2,
      inputTokens: 101,
      cachedInputTokens: 40,
      outputTokens: 21,
      costNanodollars: parseDollars('0.1123'),
    },
    { day: '2026-11-01', requests: 1, costNanodollars: 12_500n, costRoundingNanodollars: 50n },
  ],
)
readCheck(
  'one row for each class, cents, cached apart from input',
  'deepinfra',
  'date,model_name,pricing_type,units,cost\n2026-10-31,v4,input_tokens,1000,10\n2026-10-31,v4,cached_tokens,400,0.5\n2026-10-31,v4,output_tokens,200,2\n',
  [
    {
      inputTokens: 1_400,
      cachedInputTokens: 400,
      outputTokens: 200,
      costNanodollars: parseDollars('0.125'),
      requests: null,
    },
  ],
)
readCheck(
  'a file with titles of its own',
  'generic',
  'Tag;Engine;In;Out;Preis\n2026-10-31;v4;1,000;20;$0.25\n',
  [{ model: 'v4', inputTokens: 1_000, outputTokens: 20, costNanodollars: parseDollars('0.25'), key: '' }],
  { time: 'Tag', model: 'Engine', input: 'In', output: 'Out', cost: 'Preis' },
)

test('what a file lacks is told with the cure', () => {
  const generic = PROVIDER_FORMATS.generic as ProviderFormat
  const fails = (text: string, message: RegExp, map = {}) =>
    assert.throws(() => providerUsage(text, generic, map), message)
  fails('', /The file is empty/)
  fails('a,b\n', /no column for time\. The file has: a, b\. Say which it is: --columns time=<title>/)
  fails('date,model\n', /no column for input/)
  fails('date,model,input,output\n', /no column "x" for key/, { key: 'x' })
  fails('date,model,input,output\nyesterday,m,1,1\n', /Row 2: "yesterday" is no time/)
  fails('date,model,input,output\n2026-10-31,m,1.5,1\n', /Row 2: "1\.5" is no count of input/)
  fails('date,model,input,output,cost\n2026-10-31,m,1,1,free\n', /Row 2: "free" is no cost/)
})
