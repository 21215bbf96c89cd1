import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planCapNanodollars, planKills, planRequest, planUpstreamKill, requestsMin } from './plan.ts'
import { PROOF_PRICE, worthNanodollars } from './price.ts'

const SIZE = { clients: 500, requests: 20_000, abortShare: 0.2, deathShare: 0.05, kills: 3, seed: 1 }

test('a plan is the same for the same seed, in any order, and another for another', () => {
  const plans = Array.from({ length: 50 }, (_, i) => planRequest(SIZE, i))
  assert.deepEqual(
    [...plans.keys()]
      .reverse()
      .map(i => planRequest(SIZE, i))
      .reverse(),
    plans,
  )
  assert.notDeepEqual(
    plans.map((_, i) => planRequest({ ...SIZE, seed: 2 }, i)),
    plans,
  )
  assert.deepEqual(planKills(SIZE), planKills(SIZE))
  assert.equal(planCapNanodollars({ ...SIZE, requests: 500 }), planCapNanodollars({ ...SIZE, requests: 500 }))
})

test('a plan mixes what it says', () => {
  const plans = Array.from({ length: SIZE.requests }, (_, i) => planRequest(SIZE, i))
  const share = (is: (plan: (typeof plans)[number]) => boolean) => plans.filter(is).length / plans.length
  const near = (found: number, wanted: number) => assert.ok(Math.abs(found - wanted) < 0.015, `${found}, not ${wanted}`)
  near(
    share(plan => plan.abort !== null),
    0.2,
  )
  near(
    share(plan => plan.death !== null),
    0.05,
  )
  near(
    share(plan => plan.stream),
    0.75,
  )
  for (const when of ['before_first_byte', 'mid_stream', 'near_the_end'])
    assert.ok(share(plan => plan.abort?.when === when) > 0.04, when)
  assert.ok(plans.every(plan => plan.stream || plan.abort === null || plan.abort.when === 'before_first_byte'))
  assert.equal(new Set(plans.map(plan => plan.death)).size, 5)
  assert.ok(plans.every(plan => plan.death !== 'finishes_one_choice_then_dies' || plan.choices > 1))
})

test('kills come in order, before the cap binds, and the upstream’s in between', () => {
  for (const [kills, seed] of [
    [1, 1],
    [3, 2],
    [9, 3],
  ] as const) {
    const size = { ...SIZE, kills, seed }
    const points = planKills(size)
    assert.equal(points.length, kills)
    assert.deepEqual(
      [...points].sort((a, b) => a - b),
      points,
    )
    assert.ok((points.at(-1) ?? 0) < size.requests * 0.75)
    const [first = 0, second = size.requests] = points
    const upstream = planUpstreamKill(size) ?? 0
    assert.ok(first < upstream && upstream < second, `${first} < ${upstream} < ${second}`)
  }
  assert.equal(planUpstreamKill({ ...SIZE, deathShare: 0 }), null)
  assert.equal(requestsMin(SIZE), 8000)
  assert.equal(requestsMin({ clients: 1, kills: 0 }), 100)
})

test('worth is rounded once, half to even', () => {
  assert.deepEqual(PROOF_PRICE, { input: '0.1237', cachedInput: '0.0123', output: '3.1415' })
  // 123,700, 12,300 and 3,141,500 picodollars a token.
  const check = (input: number, cached: number, output: number, expected: bigint) =>
    assert.equal(worthNanodollars({ input, cached, output }), expected)
  check(0, 0, 0, 0n)
  check(1, 0, 0, 124n)
  check(1, 1, 0, 12n)
  check(0, 0, 1, 3142n)
  check(0, 0, 3, 9424n)
  check(5, 0, 0, 618n)
  check(15, 0, 0, 1856n)
  check(100, 16, 7, 32_578n)
})
