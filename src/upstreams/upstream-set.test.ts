import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UpstreamFailure } from '../inference/event.ts'
import type { Upstream } from '../inference/upstream.ts'
import { UpstreamSet } from './upstream-set.ts'

const failure = (reason: UpstreamFailure['reason']): UpstreamFailure => ({ reason, message: '', retryable: true })
const on = (upstreamModel: string) => ({ upstreamId: 'a', upstreamModel })

function setOf() {
  let nowMs = 5
  const set = new UpstreamSet({ nowMs: () => nowMs, monotonicMs: () => nowMs, after: () => () => undefined })
  set.add({
    id: 'a',
    load: model => ({ running: 0, queued: model === 'crowded' ? 4 : 0, queueDepthMax: 4 }),
  } as Upstream)
  const fail = (model: string, times: number, reason: UpstreamFailure['reason'] = 'timeout') => {
    for (let i = 0; i < times; i++) set.observe(on(model), failure(reason))
  }
  const wait = (ms: number) => {
    nowMs += ms
  }
  return { wait, set, fail, takes: (model: string) => set.view(on(model))?.available }
}

test('five failures in a row close the way to a target for a while, and to no other model there', () => {
  const { set, fail, takes } = setOf()
  fail('m', 4)
  assert.equal(takes('m'), true)
  set.observe(on('m'), null)
  fail('m', 4)
  assert.equal(takes('m'), true)
  fail('m', 1)
  assert.equal(takes('m'), false)
  assert.equal(takes('other'), true)
  assert.deepEqual(set.health('a'), { state: 'down', downModels: ['m'] })
  set.observe(on('other'), null)
  assert.deepEqual(set.health('a'), { state: 'partly down', downModels: ['m'] })
  assert.equal(set.view({ upstreamId: 'nowhere', upstreamModel: 'm' }), undefined)
})

test('wrong requests and full queues are not the fault of the upstream', () => {
  const { fail, takes } = setOf()
  for (const reason of ['bad_request', 'context_length', 'overloaded'] as const) fail('m', 9, reason)
  assert.equal(takes('m'), true)
})

test('the wait doubles while the first request after it fails too', () => {
  const { wait, set, fail, takes } = setOf()
  fail('m', 5)
  wait(1000)
  assert.equal(takes('m'), true)
  fail('m', 1)
  wait(1999)
  assert.equal(takes('m'), false)
  wait(1)
  assert.equal(takes('m'), true)
  set.observe(on('m'), null)
  assert.deepEqual(set.health('a'), { state: 'ready', downModels: [] })
})

test('attempts that fail together count as one failure more, however many they are', () => {
  const { wait, fail, takes } = setOf()
  fail('m', 500)
  wait(1000)
  assert.equal(takes('m'), true)
  fail('m', 500)
  wait(1999)
  assert.equal(takes('m'), false)
  wait(1)
  assert.equal(takes('m'), true)
})

test('where each model has a queue, the router sees that of the model', () => {
  const { set } = setOf()
  assert.equal(set.view(on('crowded'))?.load.queued, 4)
  assert.equal(set.view(on('m'))?.load.queued, 0)
})
