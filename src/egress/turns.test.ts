import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Turns } from './turns.ts'

const NEVER = new AbortController().signal

/** Takes turns for work that ends when the test says so; `names` tells what has begun, in order. */
function stage(runningMax: number, perPayer: number) {
  const turns = new Turns(runningMax, perPayer)
  const names: string[] = []
  const ends = new Map<string, () => void>()
  const take = (payer: string, name: string, signal = NEVER) =>
    turns.take(payer, signal, () => {
      names.push(name)
      return new Promise<void>(resolve => ends.set(name, resolve))
    })
  const end = async (name: string) => {
    ends.get(name)?.()
    await settled()
  }
  return { names, take, end }
}

function settled(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

test('whose hosts never answer keeps no turns of others', async () => {
  const { names, take, end } = stage(4, 2)
  const all = ['a1', 'a2', 'a3', 'a4', 'b1', 'c1', 'c2'].map(name => take(name.slice(0, 1), name))
  await settled()
  assert.deepEqual(names, ['a1', 'a2', 'b1', 'c1'], 'of a no more than two, though two turns were free')
  await end('b1')
  assert.deepEqual(names.slice(4), ['c2'], 'the first that may')
  await end('a1')
  assert.deepEqual(names.slice(5), ['a3'])
  for (const name of ['a2', 'a3', 'c1', 'c2', 'a4']) await end(name)
  await Promise.all(all)
})

test('what fails gives its turn on, and what is aborted while it waits leaves the queue', async () => {
  const { names, take, end } = stage(1, 1)
  const turns = new Turns(1, 1)
  await assert.rejects(
    turns.take('a', NEVER, () => Promise.reject(new Error('failed'))),
    /failed/,
  )
  assert.equal(await turns.take('a', NEVER, async () => 1), 1)
  const first = take('a', 'first')
  const leaving = new AbortController()
  const second = take('a', 'second', leaving.signal)
  const third = take('b', 'third')
  leaving.abort(new Error('gone'))
  await assert.rejects(second, /gone/)
  await end('first')
  assert.deepEqual(names, ['first', 'third'])
  await end('third')
  await Promise.all([first, third])
})
