import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LogprobMemo } from './logprob-memo.ts'

test('a token is known by its salt and all that stands before it', () => {
  const memo = new LogprobMemo()
  const keys = memo.keys('org-a', Int32Array.of(1, 2, 3))
  assert.equal(new Set(keys).size, 3)
  assert.deepEqual(memo.keys('org-a', Int32Array.of(1, 2, 4)).slice(0, 2), keys.slice(0, 2))
  assert.notEqual(memo.keys('org-a', Int32Array.of(1, 2, 4))[2], keys[2])
  assert.notEqual(memo.keys('org-b', Int32Array.of(1, 2, 3))[0], keys[0])
  // Numbers that run together when written side by side.
  assert.notEqual(memo.keys('org-a', Int32Array.of(12))[0], memo.keys('org-a', Int32Array.of(1, 2))[1])
})

test('what was not asked for longest is forgotten first', () => {
  const memo = new LogprobMemo()
  const one = { logprob: -1, top: [] }
  for (let index = 0; index < 16_384; index++) memo.set(`${index}`, one)
  assert.equal(memo.get('0'), one)
  memo.set('new', one)
  assert.equal(memo.get('0'), one)
  assert.equal(memo.get('1'), undefined)
  assert.equal(memo.get('new'), one)
})
