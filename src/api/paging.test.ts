import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pageOf } from './paging.ts'

const items = ['a', 'b', 'c'].map(id => ({ id }))
const idsOf = (after: string | undefined, limit: number) => {
  const { data, first_id: first, last_id: last, has_more: more } = pageOf(items, { after, limit })
  return [data.map(({ id }) => id).join(''), first, last, more]
}

test('pages follow one another and say when there are no more', () => {
  assert.deepEqual(idsOf(undefined, 2), ['ab', 'a', 'b', true])
  assert.deepEqual(idsOf('b', 2), ['c', 'c', 'c', false])
  assert.deepEqual(idsOf('c', 2), ['', null, null, false])
  assert.deepEqual(idsOf(undefined, 3), ['abc', 'a', 'c', false])
})

test('behind what is not in the list there is nothing', () => {
  assert.deepEqual(idsOf('x', 2), ['', null, null, false])
})
