import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ledgerRow } from '../support/money.ts'
import { newHome, startServer } from '../support/server.ts'
import { chat } from '../support/stream.ts'
import { type Exchange, startUpstream, UPSTREAM_INPUT_TOKENS, upstreamConfig } from '../support/upstream.ts'

const PRICE = { input: '1.30', cached: '0.10', output: '2.60' }
const FREE = { input: '0', cached: '0', output: '0' }
const TOKENS = 7

/** What the upstream does with a request; the one that waits is ended by the test. */
const DOES = {
  'dies before it answers': exchange => exchange.destroy(),
  'refuses with 500': exchange => exchange.refuse(500),
  'refuses our key': exchange => exchange.refuse(401),
  'says nothing': exchange => exchange.finish(),
  'ends without finishing': exchange => {
    exchange.tokens(TOKENS)
    exchange.cut()
  },
  'waits in the middle': exchange => {
    exchange.tokens(TOKENS)
    waiting = exchange
  },
  'answers well': exchange => {
    exchange.tokens(TOKENS)
    exchange.finish()
  },
} as const satisfies Record<string, (exchange: Exchange) => void>

let waiting: Exchange | undefined
const { baseUrl } = await startUpstream(exchange => DOES[exchange.body.user as keyof typeof DOES](exchange))
const server = await startServer(newHome(), {
  upstreams: upstreamConfig(baseUrl, { input: PRICE.input, cachedInput: PRICE.cached, output: PRICE.output }),
  log: { level: 'error' },
})

/** A request that the upstream answers so, and what its client sees; a good one after it shows that nothing stayed behind. */
async function check(
  does: keyof typeof DOES,
  stream: boolean,
  expected: { status: number; error: string | null; ending: string; output: number; free: boolean },
): Promise<void> {
  const label = `${does}, ${stream ? 'streamed' : 'buffered'}`
  const seen = await chat(server, { model: 'paced', user: does, max_tokens: 20, stream }, ({ deltas }) => {
    if (deltas === TOKENS) waiting?.destroy()
  })
  waiting = undefined
  assert.deepEqual(
    [seen.status, seen.error?.code ?? null, seen.broken, seen.deltas],
    [expected.status, expected.error, false, stream ? expected.output : 0],
    `${label}: ${seen.error?.message}`,
  )
  const row = await ledgerRow(server, seen.requestId, expected.free ? FREE : PRICE)
  assert.equal(row.ending, expected.ending, label)
  if (expected.free) assert.equal(row.charge, 0n, label)
  else {
    assert.equal(row.counts.output, expected.output, label)
    assert.equal(row.usage.output_source, 'counted', label)
    assert.ok(row.counts.input > 0 && row.counts.input <= UPSTREAM_INPUT_TOKENS, `${label}: ${row.counts.input} input`)
  }

  const good = await chat(server, { model: 'paced', user: 'answers well' })
  assert.deepEqual([good.done, good.deltas, good.error], [true, TOKENS, null], label)
  await ledgerRow(server, good.requestId, PRICE)
}

test('an upstream that dies before the first token costs nothing', async () => {
  for (const stream of [true, false]) {
    const failed = { ending: 'failed', output: 0, free: true }
    await check('dies before it answers', stream, { ...failed, status: 502, error: 'upstream_error' })
    await check('refuses with 500', stream, { ...failed, status: 502, error: 'upstream_error' })
    await check('refuses our key', stream, { ...failed, status: 503, error: 'model_unavailable' })
    await check('says nothing', stream, { ...failed, status: 200, error: null, ending: 'empty' })
  }
})

test('an upstream that dies in the middle of a stream gives an error frame, and what was received is charged', async () => {
  const failed = { status: 200, error: 'upstream_error', ending: 'failed', output: TOKENS, free: false }
  await check('waits in the middle', true, failed)
  await check('ends without finishing', true, failed)
})

test('an upstream that dies in the middle of a buffered answer costs nothing', async () => {
  const failed = { status: 502, error: 'upstream_error', ending: 'failed', output: 0, free: true }
  await check('ends without finishing', false, failed)
})

test('nothing is held afterwards, and the books balance', async () => {
  assert.equal((await server.control.status()).open_holds, 0)
  const { ok, problems } = await server.control.verifyLedger()
  assert.ok(ok, problems.join('\n'))
  await server.stop()
})
