import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPublisher } from './publisher.ts'
import type { SnapshotState } from './snapshot-builder.ts'

const EMPTY: SnapshotState = { orgs: [], keys: [], models: [], prices: [], projects: [], limits: [] }

test('a slow load of an older state never replaces a newer one', async () => {
  let orgs: string[] = []
  // Each load takes fewer turns than the one before, so loads that overlapped would end in the wrong order.
  const turns = [0, 20, 1]
  const publisher = await createPublisher(async () => {
    const state = { ...EMPTY, orgs: orgs.map(id => ({ id, name: id, disabled: false })) }
    for (let left = turns.shift() ?? 0; left > 0; left--) await Promise.resolve()
    return state
  })
  orgs = ['a']
  const older = publisher.publish()
  await Promise.resolve()
  orgs = ['a', 'b']
  await Promise.all([older, publisher.publish()])
  assert.deepEqual([...publisher.current().orgs.keys()], ['a', 'b'])
  assert.equal(publisher.current().version, 3)
})

test('a state that does not fit together leaves the snapshot in force', async () => {
  let state = EMPTY
  const versions: number[] = []
  const publisher = await createPublisher(
    () => state,
    snapshot => versions.push(snapshot.version),
  )
  const twin = { id: 'a', name: 'a', disabled: false }
  state = { ...EMPTY, orgs: [twin, twin] }
  await assert.rejects(publisher.publish(), { name: 'SnapshotConflict' })
  assert.equal(publisher.current().version, 1)
  state = { ...EMPTY, orgs: [twin] }
  await publisher.publish()
  assert.deepEqual(versions, [1, 2])
})
