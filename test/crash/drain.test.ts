import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ledgerRow } from '../support/money.ts'
import { bounded, command, headrace, newHome, startServer } from '../support/server.ts'
import { chat } from '../support/stream.ts'
import { type Exchange, startUpstream, UPSTREAM_INPUT_TOKENS, upstreamConfig } from '../support/upstream.ts'

const PRICE = { input: '1.30', cached: '0.10', output: '2.60' }
const TOKENS = 5
const SHORT = { model: 'paced', user: 'short' }

/** A server whose upstream answers short requests at once, and waits in the middle of others. */
async function draining(drainTimeoutMs: number) {
  const waiting = Promise.withResolvers<Exchange>()
  const { baseUrl } = await startUpstream(exchange => {
    exchange.tokens(TOKENS)
    if (exchange.body.user === 'short') exchange.finish()
    else waiting.resolve(exchange)
  })
  const home = newHome()
  const server = await startServer(home, {
    server: { drainTimeoutMs },
    upstreams: upstreamConfig(baseUrl, { input: PRICE.input, cachedInput: PRICE.cached, output: PRICE.output }),
    log: { level: 'error' },
  })
  const received = Promise.withResolvers<void>()
  const answer = chat(server, { model: 'paced', max_tokens: 100 }, ({ deltas }) => {
    if (deltas === TOKENS) received.resolve()
  })
  const exchange = await waiting.promise
  await bounded(received.promise, 'the first tokens')
  return { home, server, answer, exchange }
}

test('SIGTERM takes no new requests and lets a running stream end', async () => {
  const { home, server, answer, exchange } = await draining(60_000)
  server.signal('SIGTERM')
  // The signal takes its time; requests that came before it was heard are answered.
  let refused = await chat(server, SHORT)
  for (let tries = 0; refused.status === 200 && tries < 1000; tries++) refused = await chat(server, SHORT)
  assert.deepEqual([refused.status, refused.error?.code], [503, 'draining'])
  exchange.tokens(TOKENS)
  exchange.finish()
  const { done, deltas, error, requestId } = await answer
  assert.deepEqual([done, deltas, error], [true, 2 * TOKENS, null])
  const { code } = await bounded(server.ended, 'the end of the server')
  assert.equal(code, 0)
  assert.equal((await headrace(home, 'usage', requestId)).row.ending, 'completed')
  assert.equal((await headrace(home, 'ledger', 'verify')).ok, true)
})

test('a stream that does not end in time is ended with an error frame, and what was received is charged', async () => {
  const { home, server, answer } = await draining(0)
  server.signal('SIGTERM')
  const { done, error, broken, deltas, requestId } = await bounded(answer, 'the end of the stream')
  assert.deepEqual([done, error?.code, broken, deltas], [false, 'draining', false, TOKENS])
  const { code } = await bounded(server.ended, 'the end of the server')
  assert.equal(code, 0)
  const again = await startServer(home)
  const { ending, counts, usage } = await ledgerRow(again, requestId, PRICE)
  assert.deepEqual([ending, counts.output, usage.output_source], ['aborted', TOKENS, 'counted'])
  assert.ok(counts.input > 0 && counts.input <= UPSTREAM_INPUT_TOKENS)
  assert.deepEqual((await again.control.listInterrupted()).data, [])
  const { code: second } = await command(home, 'serve', '--port', '0')
  assert.equal(second, 3)
  await again.stop()
})
