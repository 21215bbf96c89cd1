import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Rng } from './rng.ts'
import { SimClock } from './sim-clock.ts'
import { SimulatedEngine } from './simulated-engine.ts'

const OPTIONS = {
  slots: 2,
  queueDepthMax: 1,
  cacheTokensMax: 64,
  prefillTokensPerMs: 10,
  tokenMs: 5,
  tokenMsPerSequence: 1,
  tokensPerStep: 2,
}
const BLOCK = 'x'.repeat(64)
const job = (id: string, prompt: string, ...outputTokens: number[]) => ({ id, prompt, cacheSalt: 'org', outputTokens })

test('steps take longer with more uncached input and with more sequences', () => {
  const engine = new SimulatedEngine(OPTIONS)
  engine.submit(job('a', BLOCK, 3))
  assert.deepEqual(engine.step(), {
    durationMs: 21 / 10 + 2 * 5,
    began: [{ id: 'a', inputTokens: 21, cachedTokens: 0 }],
    produced: [{ id: 'a', choice: 0, fromToken: 0, tokens: 2, finished: false }],
  })
  engine.submit(job('b', `${BLOCK}y`, 1))
  assert.deepEqual(engine.step(), {
    durationMs: 6 / 10 + 1 * (5 + 1),
    began: [{ id: 'b', inputTokens: 22, cachedTokens: 16 }],
    produced: [
      { id: 'a', choice: 0, fromToken: 2, tokens: 1, finished: true },
      { id: 'b', choice: 0, fromToken: 0, tokens: 1, finished: true },
    ],
  })
  assert.equal(engine.step(), null)
})

test('the cache forgets what was used longest ago, and keeps salts apart', () => {
  const engine = new SimulatedEngine(OPTIONS)
  const cached = (prompt: string, cacheSalt = 'org') => {
    engine.submit({ ...job('a', prompt, 0), cacheSalt })
    return engine.step()?.began[0]?.cachedTokens
  }
  assert.equal(cached(BLOCK), 0)
  assert.equal(cached(BLOCK, 'other'), 0)
  assert.equal(cached(BLOCK), 16)
  // Three more blocks, where the cache holds four: the other org's goes.
  assert.equal(cached(`z${BLOCK.repeat(3)}`), 0)
  assert.equal(cached(BLOCK), 16)
  assert.equal(cached(BLOCK, 'other'), 0)
})

test('slots and queue are bounded, and a cancelled job makes room', () => {
  const engine = new SimulatedEngine(OPTIONS)
  const ids = ['a', 'b', 'c', 'd']
  assert.deepEqual(
    ids.map(id => engine.submit(job(id, '', 9))),
    [true, true, true, false],
  )
  engine.cancel('a')
  assert.deepEqual(
    engine.step()?.began.map(({ id }) => id),
    ['b', 'c'],
  )
})

test('timers fire in order, promises in between, and the wall clock may jump', async () => {
  const clock = new SimClock()
  const startMs = clock.nowMs()
  const seen: string[] = []
  clock.after(10, () => seen.push('second'))
  clock.after(5, () => void Promise.resolve().then(() => seen.push('first')))
  clock.after(10, () => seen.push('third'))
  clock.after(10, () => seen.push('never'))()
  const { clock: process, kill } = clock.forProcess()
  process.after(10, () => seen.push('dead'))
  kill()
  clock.after(30, () => seen.push('too late'))
  clock.jumpWall(-1000)
  await clock.run(20, () => undefined)
  assert.deepEqual(seen, ['first', 'second', 'third'])
  assert.equal(clock.monotonicMs(), 20)
  assert.equal(clock.nowMs(), startMs - 980)
})

test('a seed gives the same numbers, and a purpose its own', () => {
  const numbers = (rng: Rng) => Array.from({ length: 5 }, () => rng.int(0, 99))
  assert.deepEqual(numbers(new Rng(1).split('a')), numbers(new Rng(1).split('a')))
  assert.notDeepEqual(numbers(new Rng(1).split('a')), numbers(new Rng(1).split('b')))
})
