import assert from 'node:assert/strict'
import { test } from 'node:test'
import { servedTier } from './served-tier.ts'

test('the tier that was served has several names, and some words name none', () => {
  const words = { default: 'standard', standard: 'standard', priority: 'priority', fast: 'priority', flex: 'flex' }
  for (const [word, tier] of Object.entries(words)) assert.equal(servedTier({ service_tier: word }), tier)
  for (const word of ['auto', 'scale', 'constructor', null, 7, undefined])
    assert.equal(servedTier({ service_tier: word }), undefined)
})
