import assert from 'node:assert/strict'
import { test } from 'node:test'
import { shareThreads, threadBudget } from './threads.ts'

test('one core is left to the gateway where there are more than two', () => {
  assert.deepEqual([1, 2, 3, 4, 64].map(threadBudget), [1, 2, 2, 3, 63])
})

test('children never have more threads together than the budget', () => {
  for (let budget = 1; budget <= 16; budget++) {
    for (let models = 1; models <= 20; models++) {
      const { perChild, childrenMax } = shareThreads(budget, models)
      assert.ok(perChild >= 1 && childrenMax >= 1 && perChild * childrenMax <= budget)
    }
  }
})
