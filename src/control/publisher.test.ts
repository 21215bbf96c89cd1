import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPublisher } from './publisher.ts'
import type { SnapshotState } from './snapshot-builder.ts'

const EMPTY: SnapshotState = { orgs: [], keys: [], models: [], prices: [] }

test('a slow load of an older state never replaces a newer one', async () => {
  let orgs: string[] = []
  const waiting: (() => void)[] = []
  let first = true
  const publisher = await createPublisher(async () => {
    const state = { ...EMPTY, orgs: orgs.map(id => ({ id, name: id, disabled: false })) }
    if (!first) await new Promise<void>(resolve => waiting.push(resolve))
    first = false
    return state
  })
  orgs = ['a']
  const older = publisher.publish()
  orgs = ['a', 'b']
  const newer = publisher.publish()
  const released = () => {
    for (const resolve of waiting.splice(0)) resolve()
  }
  const pump = setInterval(released, 1)
  await Promise.all([older, newer])
  clearInterval(pump)
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
