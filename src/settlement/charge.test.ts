import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Price } from '../inference/snapshot.ts'
import { USAGE_ABSENT, type Usage } from '../inference/usage.ts'
import type { Ending } from '../ledger/journal.ts'
import { parsePricePerMillion } from '../ledger/money.ts'
import { worthOf } from '../pricing/worth.ts'
import { charge, upstreamCost } from './charge.ts'
import { finalUsage } from './final-usage.ts'

const PLENTY = 10n ** 18n
const STANDARD = { admittedMs: 0, tier: 'standard' } as const

function priceOf(input: string, cached: string, output: string, request = '0'): Price {
  return {
    id: 'p',
    modelId: 'm',
    fromMs: 0,
    toMs: null,
    inputPicodollars: parsePricePerMillion(input),
    cachedInputPicodollars: parsePricePerMillion(cached),
    outputPicodollars: parsePricePerMillion(output),
    requestPicodollars: parsePricePerMillion(request),
  }
}

function usageOf(input: number, cached: number, output: number): Usage {
  return {
    ...USAGE_ABSENT,
    inputTokens: input,
    inputSource: 'reported',
    cachedInputTokens: cached,
    cachedInputSource: 'reported',
    outputTokens: output,
    outputSource: 'reported',
  }
}

test('the seed price is charged exactly', () => {
  const price = priceOf('1.30', '0.10', '2.60')
  const { chargeNanodollars } = charge(
    { ending: 'completed', usage: usageOf(1_000_003, 999_999, 7), prefillBegan: true, outputBegan: true, ...STANDARD },
    price,
    PLENTY,
  )
  assert.equal(chargeNanodollars, 100_023_300n, 'charge in nanodollars')
})

test('work that is run again owes nothing for what was broken off, and all for what is whole', () => {
  const price = priceOf('1', '1', '2')
  const usage = usageOf(100, 0, 50)
  const owed = (ending: Ending, runAgain: boolean) =>
    charge({ ending, usage, prefillBegan: true, outputBegan: true, ...STANDARD, runAgain }, price, PLENTY)
      .chargeNanodollars
  for (const ending of ['aborted', 'timed_out', 'cancelled'] as const) {
    assert.equal(owed(ending, false), 200_000n, ending)
    assert.equal(owed(ending, true), 0n, ending)
  }
  assert.equal(owed('completed', true), 200_000n)
  assert.equal(owed('exhausted', true), 200_000n)
})

test('half a nanodollar goes to the even neighbour', () => {
  const price = priceOf('0.0005', '0.0005', '0')
  const check = (tokens: number, nanodollars: bigint) =>
    assert.equal(
      charge(
        { ending: 'completed', usage: usageOf(tokens, 0, 0), prefillBegan: true, outputBegan: true, ...STANDARD },
        price,
        PLENTY,
      ).chargeNanodollars,
      nanodollars,
    )
  check(1, 0n)
  check(3, 2n)
  check(5, 2n)
})

test('every charge equals rational arithmetic with one rounding', () => {
  const tokens = fc.nat(2_000_000)
  const rate = fc.bigInt({ min: 0n, max: 100_000_000n })
  fc.assert(
    fc.property(
      tokens,
      tokens,
      tokens,
      rate,
      rate,
      rate,
      rate,
      (input, cached, output, inputRate, cachedRate, outputRate, requestRate) => {
        const price: Price = {
          id: 'p',
          modelId: 'm',
          fromMs: 0,
          toMs: null,
          inputPicodollars: inputRate,
          cachedInputPicodollars: cachedRate,
          outputPicodollars: outputRate,
          requestPicodollars: requestRate,
        }
        const usage = usageOf(input, Math.min(cached, input), output)
        const exact =
          BigInt(input - usage.cachedInputTokens) * inputRate +
          BigInt(usage.cachedInputTokens) * cachedRate +
          BigInt(output) * outputRate +
          requestRate
        const found = charge(
          { ending: 'completed', usage, prefillBegan: true, outputBegan: true, ...STANDARD },
          price,
          PLENTY,
        ).chargeNanodollars
        const twiceError = 2n * (found * 1000n - exact)
        assert.ok(twiceError >= -1000n && twiceError <= 1000n, 'at most half a unit away')
        if (twiceError === 1000n || twiceError === -1000n) assert.equal(found % 2n, 0n, 'a tie goes to even')
      },
    ),
  )
})

test('each ending owes what the table says', () => {
  const price = priceOf('1', '0.5', '2')
  const usage = usageOf(1000, 0, 100)
  const all = 1200n * 1000n
  const check = (ending: Ending, prefillBegan: boolean, outputBegan: boolean, expected: bigint) =>
    assert.equal(
      charge({ ending, usage, prefillBegan, outputBegan, ...STANDARD }, price, PLENTY).chargeNanodollars,
      expected,
      `${ending} ${prefillBegan} ${outputBegan}`,
    )
  check('completed', true, true, all)
  check('exhausted', true, true, all)
  check('empty', true, false, 0n)
  for (const ending of ['cancelled', 'timed_out', 'aborted'] as const) {
    check(ending, false, false, 0n)
    check(ending, true, false, all)
    check(ending, true, true, all)
  }
  check('failed', true, false, 0n)
  check('failed', true, true, all)
})

test('usage above the hold is overrun, not charge', () => {
  const owed = charge(
    { ending: 'completed', usage: usageOf(0, 0, 1000), prefillBegan: true, outputBegan: true, ...STANDARD },
    priceOf('0', '0', '1'),
    400_000n,
  )
  assert.deepEqual(owed, { chargeNanodollars: 400_000n, overrunNanodollars: 600_000n })
})

test('what an upstream does not say is counted by us, and unknown cached input is priced as uncached', () => {
  const silent = finalUsage(USAGE_ABSENT, { outputTokens: 9, inputTokensLower: () => 20 })
  assert.deepEqual(
    [silent.inputTokens, silent.inputSource, silent.outputTokens, silent.outputSource],
    [20, 'counted', 9, 'counted'],
  )
  assert.equal(silent.cachedInputSource, 'absent')
  assert.equal(worthOf(priceOf('1', '0', '0'), silent, 0, 'standard').numerator, 20n * 1_000_000n)
  const exact = finalUsage(USAGE_ABSENT, { outputTokens: 9, inputTokens: 31, inputTokensLower: () => 20 })
  assert.deepEqual([exact.inputTokens, exact.inputSource], [31, 'reported'])
  const zero = finalUsage(usageOf(5, 0, 0), { outputTokens: 9, inputTokensLower: () => 20 })
  assert.equal(zero.outputTokens, 0, 'an explicit zero is not missing')
  const wild = finalUsage(usageOf(5, 50, 1), { outputTokens: 1, inputTokensLower: () => 1 })
  assert.equal(wild.cachedInputTokens, 5, 'cached input is a part of input')
})

test('the cost is what the upstream says, else what its list says of all that it did', () => {
  const usage = usageOf(1000, 0, 100)
  const done = { usage, prefillBegan: true, outputBegan: true, ...STANDARD }
  const list = priceOf('1', '0.5', '2')
  assert.equal(upstreamCost(5n, list, done), 5n)
  assert.equal(upstreamCost(undefined, list, done), 1_200_000n)
  assert.equal(upstreamCost(undefined, undefined, done), null)
  assert.equal(upstreamCost(undefined, list, { ...done, prefillBegan: false, outputBegan: false }), 0n)
})
