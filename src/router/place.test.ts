import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { place, spreadScore, type UpstreamView } from './place.ts'

const idle = { running: 0, queued: 0, queueDepthMax: 4 }
const view = (running: number, queued = 0, available = true): UpstreamView => ({
  available,
  load: { running, queued, queueDepthMax: 4 },
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
  check({ a: { available: true, load: { running: 1, queued: 0, queueDepthMax: 0 } } }, ['a'])
})

test('scores stay in (0, 1] and fall with load; a filtered target is never picked', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ running: fc.nat(50), queued: fc.nat(8), available: fc.boolean() }), { maxLength: 8 }),
      raw => {
        const views = raw.map(({ running, queued, available }) => ({ available, load: { ...idle, running, queued } }))
        const found = place(
          views.map((_, i) => ({ upstreamId: String(i), upstreamModel: 'm' })),
          id => views[Number(id)],
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
