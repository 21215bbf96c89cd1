import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type GrantEvent, remainingOfGrants, smallestAmount } from './grant.ts'

/**
 * A line an event: `given <id> <amount> [until=<ms>] at=<charged>`, `ended <id> <amount> at=<charged>`; then all charges and what is
 * left of each grant.
 */
function check(story: string, charged: bigint, left: Record<string, bigint>): void {
  const events = story
    .trim()
    .split('\n')
    .map((line): GrantEvent => {
      const [type, id = '', amount = '', ...rest] = line.trim().split(/\s+/)
      const value = (name: string) => rest.find(word => word.startsWith(`${name}=`))?.slice(name.length + 1)
      const parts = { id, amountNanodollars: BigInt(amount), chargedNanodollars: BigInt(value('at') ?? 0) }
      if (type === 'ended') return { type, ...parts }
      const until = value('until')
      return { type: 'given', ...parts, expiresMs: until === undefined ? null : Number(until) }
    })
  assert.deepEqual(Object.fromEntries(remainingOfGrants(events, charged)), left)
}

test('what ends first is spent first, what never ends last', () => {
  const story = `
    given a 10 at=0
    given b 10 until=9 at=0
    given c 10 until=5 at=0
    given d 10 until=9 at=0`
  check(story, 0n, { a: 10n, b: 10n, c: 10n, d: 10n })
  check(story, 12n, { a: 10n, b: 8n, c: 0n, d: 10n })
  check(story, 25n, { a: 10n, b: 0n, c: 0n, d: 5n })
  check(story, 1000n, { a: 0n, b: 0n, c: 0n, d: 0n })
})

test('a grant pays for nothing that was charged before it, and for nothing after its end', () => {
  check(
    `
    given a 10 until=5 at=3
    ended a 4 at=9
    given b 10 at=9`,
    15n,
    { a: 0n, b: 4n },
  )
})

test('what ended in two parts leaves what was spent between them', () => {
  check(
    `
    given a 10 until=5 at=0
    ended a 4 at=0
    ended a 3 at=3`,
    3n,
    { a: 0n },
  )
})

test('more ended than was left shows as less than nothing', () => {
  check(
    `
    given a 10 until=5 at=0
    ended a 8 at=6`,
    6n,
    { a: -4n },
  )
})

test('only the sum of charges matters, not how they were cut into batches', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ amount: fc.bigInt({ min: 1n, max: 50n }), until: fc.option(fc.nat(5)), at: fc.nat(60) })),
      fc.bigInt({ min: 60n, max: 400n }),
      (grants, charged) => {
        const events = grants
          .map(({ amount, until, at }, i) => ({ i, amount, until, at }))
          .sort((a, b) => a.at - b.at)
          .map(
            ({ i, amount, until, at }): GrantEvent => ({
              type: 'given',
              id: `${i}`,
              amountNanodollars: amount,
              expiresMs: until,
              chargedNanodollars: BigInt(at),
            }),
          )
        // Nanodollar by nanodollar, each from the first open grant in the order of ends.
        const left = new Map<string, bigint>()
        for (let at = 0n; at <= charged; at++) {
          for (const event of events) if (event.chargedNanodollars === at) left.set(event.id, event.amountNanodollars)
          if (at === charged) break
          const open = events
            .filter(({ id }) => (left.get(id) ?? 0n) > 0n)
            .sort((a, b) => ends(a) - ends(b))
            .at(0)
          if (open !== undefined) left.set(open.id, (left.get(open.id) as bigint) - 1n)
        }
        assert.deepEqual([...remainingOfGrants(events, charged)].sort(), [...left].sort())
      },
    ),
  )
})

function ends(event: GrantEvent): number {
  return event.type === 'given' && event.expiresMs !== null ? event.expiresMs : 1e9
}

test('the smallest of some amounts is at least nothing', () => {
  assert.equal(smallestAmount(5n, 3n, 9n), 3n)
  assert.equal(smallestAmount(5n, -3n), 0n)
})
