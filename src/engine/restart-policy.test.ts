import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RestartPolicy } from './restart-policy.ts'

test('waits double from the second failure in a row, up to a bound, and a success forgets them', () => {
  const policy = new RestartPolicy({ delayMs: 100, delayMsMax: 500, failuresMax: 4 })
  const waits: number[] = []
  for (let failure = 0; failure < 6; failure++) {
    policy.failed(1_000)
    waits.push(policy.waitMs(1_000))
  }
  assert.deepEqual(waits, [0, 100, 200, 400, 500, 500])
  assert.equal(policy.waitMs(1_450), 50)
  assert.equal(policy.waitMs(9_000), 0)
  assert.equal(policy.mayRestart, false)
  policy.succeeded()
  assert.equal(policy.mayRestart, true)
  assert.equal(policy.waitMs(1_000), 0)
})
