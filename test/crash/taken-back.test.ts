import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GRANTS, orgAccount } from '../../src/ledger/account.ts'
import { openStore } from '../../src/store/store.ts'
import { ledgerRow } from '../support/money.ts'
import { bounded, headrace, newHome, startServer } from '../support/server.ts'
import { chat } from '../support/stream.ts'
import { type Exchange, startUpstream, upstreamConfig } from '../support/upstream.ts'

const PRICE = { input: '1.30', cached: '0.10', output: '2.60' }
const TOKENS = 5

test('after a chargeback a running stream goes on to its end, and nothing new is let in until the debt is paid', async () => {
  const waiting = Promise.withResolvers<Exchange>()
  const { baseUrl } = await startUpstream(exchange => {
    exchange.tokens(TOKENS)
    if (exchange.body.user === 'short') exchange.finish()
    else waiting.resolve(exchange)
  })
  const home = newHome()
  const server = await startServer(home, {
    upstreams: upstreamConfig(baseUrl, { input: PRICE.input, cachedInput: PRICE.cached, output: PRICE.output }),
    log: { level: 'error' },
  })
  const answer = chat(server, { model: 'paced', max_tokens: 100 })
  const exchange = await bounded(waiting.promise, 'the stream')
  const [before] = await headrace(home, 'credit', 'show')
  await headrace(home, 'credit', 'chargeback', before.balance, '--id', 'dp_1')
  const held = await chat(server, { model: 'paced', user: 'short' })
  assert.deepEqual([held.status, held.error?.code], [402, 'insufficient_balance'])
  exchange.tokens(TOKENS)
  exchange.finish()
  const { done, deltas, error, requestId } = await answer
  assert.deepEqual([done, deltas, error], [true, 2 * TOKENS, null])
  const { charge, ending } = await ledgerRow(server, requestId, PRICE)
  assert.ok(charge > 0n && ending === 'completed')
  const [after] = await headrace(home, 'credit', 'show')
  assert.equal(after.available, `-${after.charged}`)
  assert.equal((await chat(server, { model: 'paced', user: 'short' })).status, 402)
  await headrace(home, 'credit', 'add', '1.00')
  assert.equal((await chat(server, { model: 'paced', user: 'short', max_tokens: 10 })).status, 200)
  assert.deepEqual((await headrace(home, 'ledger', 'verify')).problems, [])
  await server.stop()
})

test('a grant that ended while no server ran goes back before the next one lets anything in', async () => {
  const home = newHome()
  const first = await startServer(home, { log: { level: 'error' } })
  const org = (await headrace(home, 'credit', 'show'))[0].org as string
  await first.stop()
  const account = orgAccount(org)
  const store = await openStore({ path: `${home}/headrace.db` })
  await store.post(
    {
      id: `${account}:credit:old`,
      debit: GRANTS,
      credit: account,
      amountNanodollars: 2_000_000_000n,
      kind: 'grant',
      requestId: null,
      atMs: 1000,
      memo: null,
      expiresMs: 2000,
    },
    { force: false },
  )
  await store.close()
  const second = await startServer(home, { log: { level: 'info' } })
  assert.match(second.log(), /"dollars":"2\.00".*what was left of grants that are over went back/)
  const [credit] = await headrace(home, 'credit', 'show')
  assert.deepEqual([credit.granted, credit.expired, credit.granted_left, credit.grants], ['2.00', '2.00', '0.00', []])
  const kinds = (await headrace(home, 'credit', 'list')).data.map((row: { kind: string }) => row.kind)
  assert.deepEqual(kinds.slice(0, 2).sort(), ['credit', 'expiry'])
  assert.deepEqual((await headrace(home, 'ledger', 'verify')).problems, [])
  await second.stop()
})
