import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ledgerRow, type PriceText } from '../support/money.ts'
import { bounded, newHome, pullFixture, startServer } from '../support/server.ts'
import { chat } from '../support/stream.ts'

const PRICE: PriceText = { input: '1.30', cached: '0.10', output: '2.60' }
const skip = process.platform === 'win32' ? 'children are found with ps' : false

test('kill -9 of the engine in the middle of an answer', { skip }, async () => {
  const home = newHome()
  await pullFixture(home, 'llama', PRICE)
  const server = await startServer(home, { engine: { contextTokens: 8192, parallel: 2 } })
  const long = { model: 'llama', max_tokens: 7000, logprobs: true }
  const buffered = chat(server, { ...long, stream: false })
  let killed = 0
  const streamed = await bounded(
    chat(server, long, ({ deltas }) => {
      if (deltas < 5 || killed !== 0) return
      killed = engineOf(server.pid)
      process.kill(killed, 'SIGKILL')
    }),
    'the end of the stream',
  )
  // Never a silent close: the frame says what happened, and nothing says that the answer is whole.
  assert.deepEqual([streamed.status, streamed.error?.code, streamed.broken], [200, 'upstream_error', false])
  assert.equal(streamed.finishReason, null)
  const row = await ledgerRow(server, streamed.requestId, PRICE)
  assert.deepEqual([row.ending, row.usage.output_source], ['failed', 'counted'])
  assert.ok(row.counts.input > 0 && row.charge > 0n)
  assert.equal(row.counts.output, streamed.tokens, 'what the client received')

  const whole = await bounded(buffered, 'the end of the buffered answer')
  assert.deepEqual([whole.status, whole.error?.code], [502, 'upstream_error'])
  const free = await ledgerRow(server, whole.requestId, { input: '0', cached: '0', output: '0' })
  assert.deepEqual([free.ending, free.charge], ['failed', 0n])

  const next = await chat(server, { model: 'llama', max_tokens: 8 })
  assert.deepEqual([next.done, next.error], [true, null])
  assert.equal((await ledgerRow(server, next.requestId, PRICE)).ending, 'completed')
  assert.notEqual(engineOf(server.pid), killed)
  const { open_holds } = await server.control.status()
  assert.equal(open_holds, 0)
  assert.ok((await server.control.verifyLedger()).ok)
  await server.stop()
})

test('kill -9 of a server takes its engine along, and the next start works', { skip }, async () => {
  const home = newHome()
  await pullFixture(home, 'llama', PRICE)
  const config = { engine: { contextTokens: 4096, parallel: 2 } }
  const server = await startServer(home, config)
  const begun = Promise.withResolvers<number>()
  const cut = chat(server, { model: 'llama', max_tokens: 3000 }, ({ deltas }) => {
    if (deltas === 1) begun.resolve(engineOf(server.pid))
  })
  const engine = await bounded(begun.promise, 'the first token')
  await server.kill()
  const { broken, done } = await bounded(cut, 'the end of the stream')
  assert.deepEqual([broken, done], [true, false])
  for (let tries = 0; processes().some(({ pid }) => pid === engine); tries++) {
    assert.ok(tries < 400, 'the engine outlives its server')
    await sleep(25)
  }
  const again = await startServer(home, config)
  const next = await chat({ url: again.url, key: server.key }, { model: 'llama', max_tokens: 8 })
  assert.deepEqual([next.done, next.error], [true, null])
  assert.equal((await again.control.listUsage()).data.length, 1, 'the answer that broke off is free')
  assert.ok((await again.control.verifyLedger()).ok)
  await again.stop()
})

/** The process that a server of ours started for its one model. */
function engineOf(serverPid: number): number {
  const found = processes().filter(({ parent, args }) => parent === serverPid && args.startsWith('headrace-engine'))
  assert.equal(found.length, 1, 'a server with one model has one engine')
  return (found[0] as { pid: number }).pid
}

/** All that run; those that have ended and wait to be reaped do not. */
function processes(): { pid: number; parent: number; args: string }[] {
  return execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat=,args='], { encoding: 'utf8' })
    .split('\n')
    .map(line => /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line))
    .filter(match => match !== null && !match[3]?.startsWith('Z'))
    .map(match => ({ pid: Number(match?.[1]), parent: Number(match?.[2]), args: match?.[4] ?? '' }))
}
