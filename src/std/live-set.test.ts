import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AssertionFailure } from './assert.ts'
import { type LiveMember, LiveSet } from './live-set.ts'

test('a live set holds what a Set would, whatever comes and goes', () => {
  const operations = fc.array(fc.nat({ max: 12 }), { maxLength: 200 })
  fc.assert(
    fc.property(operations, indexes => {
      const all: LiveMember[] = Array.from({ length: 13 }, () => ({ slot: -1 }))
      const live = new LiveSet<LiveMember>()
      const model = new Set<LiveMember>()
      for (const index of indexes) {
        const member = all[index] as LiveMember
        if (model.delete(member)) live.remove(member)
        else {
          model.add(member)
          live.add(member)
        }
        assert.equal(live.size, model.size)
        assert.deepEqual(new Set(live.members()), model)
        assert.ok(all.every(each => (each.slot === -1) === !model.has(each)))
      }
    }),
  )
})

test('adding twice and removing what is not there are mistakes of ours', () => {
  const live = new LiveSet<LiveMember>()
  const member = { slot: -1 }
  live.add(member)
  assert.throws(() => live.add(member), AssertionFailure)
  live.remove(member)
  assert.throws(() => live.remove(member), AssertionFailure)
  assert.throws(() => live.remove({ slot: 0 }), AssertionFailure)
})
