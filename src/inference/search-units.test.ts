import assert from 'node:assert/strict'
import { test } from 'node:test'
import { searchUnitsOf } from './search-units.ts'

test('a unit is a query with up to 100 documents, and long documents count as several', () => {
  const check = (documents: readonly string[], units: number, query = 'q') =>
    assert.equal(searchUnitsOf({ kind: 'rerank', query, documents }), units)
  check(['a'], 1)
  check([''], 1, '')
  check(Array(100).fill('a'), 1)
  check(Array(101).fill('a'), 2)
  check(Array(50).fill('x'.repeat(2_000)), 1)
  check(Array(51).fill('x'.repeat(2_000)), 2)
  check(Array(100).fill('é'.repeat(999)), 1)
  check(Array(100).fill('é'.repeat(1_000)), 2)
  check(Array(100).fill('a'), 2, 'q'.repeat(2_000))
})

test('what is no rerank has none', () => {
  assert.equal(searchUnitsOf({ kind: 'embed', inputs: ['a', [1, 2]] }), 0)
  assert.equal(searchUnitsOf({ kind: 'text', prompts: ['a'], echo: false }), 0)
})
