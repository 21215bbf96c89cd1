import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NO_PREFERENCES, type Preferences } from '../inference/preferences.ts'
import type { Target } from '../inference/snapshot.ts'
import type { ObservedSpeed } from '../inference/upstream.ts'
import { place, type UpstreamView } from './place.ts'
import { spreadScore } from './rank.ts'

const idle = { running: 0, queued: 0, queueDepthMax: 4 }
const view = (running: number, queued = 0, available = true): UpstreamView => ({
  available,
  load: { running, queued, queueDepthMax: 4 },
  keepsNoPrompts: false,
})

function check(
  views: Record<string, UpstreamView | undefined>,
  expected: string[],
  filtered: Record<string, string> = {},
): void {
  const targets = Object.keys(views).map(upstreamId => ({ upstreamId, upstreamModel: 'm' }))
  const found = place(targets, target => views[target.upstreamId])
  assert.deepEqual(
    found.places.map(each => each.target.upstreamId),
    expected,
  )
  assert.deepEqual(Object.fromEntries(found.filtered.map(each => [each.target.upstreamId, each.reason])), filtered)
}

test('the least loaded comes first, and the operator’s order breaks ties', () => {
  check({ a: view(2), b: view(0), c: view(0, 1) }, ['b', 'c', 'a'])
  check({ a: view(1), b: view(1) }, ['a', 'b'])
})

test('what is down, full or unknown is filtered with its reason', () => {
  check({ a: view(0, 0, false), b: view(9, 4), c: undefined, d: view(9, 3) }, ['d'], {
    a: 'down',
    b: 'queue full',
    c: 'not configured',
  })
  check({ a: view(0, 0, false) }, [], { a: 'down' })
  check({}, [])
  check({ a: { ...view(0), load: { running: 1, queued: 0, queueDepthMax: 0 } } }, ['a'])
})

const WISHES = { preferences: NO_PREFERENCES, speedOf: () => undefined, atMs: 0 }

test('a request that does not want to wait goes where nobody has to', () => {
  const busyView = (busy: boolean | undefined, queued: number): UpstreamView => ({
    available: true,
    load: { running: 1, queued, queueDepthMax: 4, ...(busy !== undefined && { busy }) },
    keepsNoPrompts: false,
  })
  const views: Record<string, UpstreamView> = {
    ...{ a: busyView(true, 0), b: busyView(false, 0), c: busyView(undefined, 1), d: busyView(undefined, 0) },
    e: busyView(true, 4),
  }
  const targets = Object.keys(views).map(upstreamId => ({ upstreamId, upstreamModel: 'm' }))
  const found = place(targets, ({ upstreamId }) => views[upstreamId], { ...WISHES, failFast: true })
  assert.deepEqual(
    found.places.map(({ target }) => target.upstreamId),
    ['b', 'd'],
  )
  assert.deepEqual(
    found.filtered.map(({ target, reason }) => `${target.upstreamId}: ${reason}`),
    ['a: busy', 'c: busy', 'e: queue full'],
  )
  assert.equal(place(targets.slice(0, 1), () => views.a, { ...WISHES, failFast: true }).filtered[0]?.reason, 'busy')
  assert.equal(place(targets.slice(0, 1), () => views.a).places.length, 1)
})

test('scores stay in (0, 1] and fall with load; a filtered target is never picked', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ running: fc.nat(50), queued: fc.nat(8), available: fc.boolean() }), { maxLength: 8 }),
      raw => {
        const views = raw.map(({ running, queued, available }) => ({
          ...view(0),
          available,
          load: { ...idle, running, queued },
        }))
        const found = place(
          views.map((_, i) => ({ upstreamId: String(i), upstreamModel: 'm' })),
          target => views[Number(target.upstreamId)],
        )
        assert.equal(found.places.length + found.filtered.length, views.length)
        let last = Number.POSITIVE_INFINITY
        for (const { target } of found.places) {
          const { load, available } = views[Number(target.upstreamId)] as UpstreamView
          assert.ok(available && load.queued < load.queueDepthMax)
          const score = spreadScore(load)
          assert.ok(score > 0 && score <= 1 && score <= last)
          last = score
        }
      },
    ),
  )
})

const RATES = { cachedInputPicodollars: 0n, requestPicodollars: 0n }
const speed = (latencyMs: number, tokensPerSecond: number): ObservedSpeed => ({
  latencyMs: { p50: latencyMs, p75: latencyMs, p90: 2 * latencyMs, p99: 4 * latencyMs },
  tokensPerSecond: { p50: tokensPerSecond, p75: tokensPerSecond, p90: tokensPerSecond / 2, p99: 1 },
})

/** Four targets: b is the cheapest, c the fastest and the most private, d has never been seen at work. */
const TARGETS: readonly Target[] = [
  { upstreamId: 'a', upstreamModel: 'm', cost: { ...RATES, inputPicodollars: 5n, outputPicodollars: 5n } },
  { upstreamId: 'B', upstreamModel: 'm', cost: { ...RATES, inputPicodollars: 1n, outputPicodollars: 16n } },
  { upstreamId: 'c', upstreamModel: 'm', cost: { ...RATES, inputPicodollars: 9n, outputPicodollars: 1n } },
  { upstreamId: 'd', upstreamModel: 'm', quantization: 'FP8' },
]
const SPEEDS: Record<string, ObservedSpeed> = { a: speed(300, 20), B: speed(100, 30), c: speed(200, 90) }

function preferring(wishes: Partial<Preferences>) {
  const preferences = { ...NO_PREFERENCES, ...wishes }
  const { places, filtered } = place(
    TARGETS,
    target => ({ ...view(target.upstreamId === 'a' ? 3 : 0), keepsNoPrompts: target.upstreamId === 'c' }),
    { preferences, speedOf: target => SPEEDS[target.upstreamId], atMs: 0 },
  )
  for (const { unwanted } of filtered) assert.equal(unwanted, true)
  return {
    order: places.map(each => each.target.upstreamId).join(''),
    first: places[0]?.reason,
    without: Object.fromEntries(filtered.map(({ target, reason }) => [target.upstreamId, reason])),
  }
}

test('the client’s order goes before load, in any case of letters, and the others follow', () => {
  const { order, first } = preferring({ order: ['a', 'nobody', 'b'] })
  assert.equal(order, 'aBcd')
  assert.equal(first, 'in the order asked for, 1 of 4; running=3 queued=0')
})

test('only, ignore and an order without fallbacks leave others out and say so', () => {
  const check = (wishes: Partial<Preferences>, order: string, without: Record<string, string>) => {
    const found = preferring(wishes)
    assert.deepEqual([found.order, found.without], [order, without])
  }
  check({ only: ['b', 'c'], ignore: ['c'] }, 'B', { a: 'not among "only"', c: 'ignored', d: 'not among "only"' })
  const outside = 'not in "order", and fallbacks are not allowed'
  check({ order: ['c', 'a'], fallbacks: false }, 'ca', { B: outside, d: outside })
  const alone = 'fallbacks are not allowed'
  check({ fallbacks: false }, 'B', { a: alone, c: alone, d: alone })
  check({ quantizations: ['fp8'] }, 'd', {
    a: 'quantization unknown',
    B: 'quantization unknown',
    c: 'quantization unknown',
  })
  check({ quantizations: ['unknown', 'int4'] }, 'Bca', { d: 'quantization FP8' })
  const silent = 'not declared to keep no prompts'
  check({ keepsNoPrompts: true }, 'c', { a: silent, B: silent, d: silent })
})

test('a sort replaces the spread; what is not known comes last', () => {
  assert.equal(preferring({ sort: 'price' }).order, 'Bacd')
  assert.equal(preferring({ sort: 'latency' }).order, 'Bcad')
  assert.equal(preferring({ sort: 'throughput' }).order, 'cBad')
  assert.equal(preferring({ sort: 'throughput' }).first, 'fastest 1 of 4; running=0 queued=0')
  assert.equal(preferring({ order: ['d'], sort: 'price' }).order, 'dBac')
})

test('what is slower than preferred comes last, and is not left out', () => {
  assert.equal(preferring({ latencyMsMax: { p50: 150 } }).order, 'Bdca')
  assert.equal(preferring({ latencyMsMax: { p90: 400 } }).order, 'Bcda')
  assert.equal(preferring({ tokensPerSecondMin: { p50: 25 } }).order, 'Bcda')
  assert.equal(preferring({ tokensPerSecondMin: { p90: 25 }, sort: 'price' }).order, 'cdBa')
})

test('what runs is wanted, whatever is asked for', () => {
  const id = fc.constantFrom<string>('a', 'b', 'c', 'd', 'e')
  fc.assert(
    fc.property(
      fc.record({
        order: fc.uniqueArray(id),
        only: fc.option(fc.uniqueArray(id), { nil: undefined }),
        ignore: fc.uniqueArray(id),
        fallbacks: fc.boolean(),
        sort: fc.constantFrom('price', 'latency', 'throughput', undefined),
      }),
      wishes => {
        const { order, without } = preferring(wishes as Partial<Preferences>)
        const ids = [...order.toLowerCase()]
        assert.equal(ids.length + Object.keys(without).length, TARGETS.length)
        for (const each of ids) {
          assert.ok(wishes.only === undefined || wishes.only.includes(each))
          assert.ok(!wishes.ignore.includes(each))
        }
        const named = wishes.order.filter(each => ids.includes(each))
        assert.deepEqual(ids.slice(0, named.length), named)
      },
    ),
  )
})
