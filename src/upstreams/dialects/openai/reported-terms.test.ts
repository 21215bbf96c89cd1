import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reportedCost, servedTier } from './reported-terms.ts'

test('what an upstream says that it takes is read to the nanodollar', () => {
  const check = (usage: unknown, nanodollars: bigint | undefined) => assert.equal(reportedCost(usage), nanodollars)
  check({ estimated_cost: 1.72e-5 }, 17_200n)
  check({ cost: 0.00123456789 }, 1_234_568n)
  check({ cost: 0.1, estimated_cost: 0.2 }, 100_000_000n)
  check({ cost: 0 }, 0n)
  check({ cost: 12 }, 12_000_000_000n)
  check({ cost: 5e-10 }, 0n)
  check({ cost: 1.5e-9 }, 2n)
  check({ cost: 2.5e-9 }, 2n)
  check({ cost: 1e300 }, undefined)
  check({ cost: -1 }, undefined)
  check({ cost: null }, undefined)
  check({ cost: '0.1' }, undefined)
  check({}, undefined)
  check(null, undefined)
})

test('the tier that was served has several names, and some words name none', () => {
  const words = { default: 'standard', standard: 'standard', priority: 'priority', fast: 'priority', flex: 'flex' }
  for (const [word, tier] of Object.entries(words)) assert.equal(servedTier({ service_tier: word }), tier)
  for (const word of ['auto', 'scale', 'constructor', null, 7, undefined])
    assert.equal(servedTier({ service_tier: word }), undefined)
})
