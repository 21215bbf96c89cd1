import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allRows } from '../../src/control/client.ts'
import { formatDollars, parseDollars } from '../../src/ledger/money.ts'
import { ledgerRow } from '../support/money.ts'
import { bounded, newHome, startServer } from '../support/server.ts'
import { chat } from '../support/stream.ts'
import { type Exchange, paced, startUpstream, upstreamConfig } from '../support/upstream.ts'

const STREAMS = 200
const TRANCHE_TOKENS = 64
const PRICE = { input: '0.01', cached: '0.01', output: '10' }
/** 10 000 nanodollars a token: enough for the first tranches of about half the streams. */
const CAP_NANODOLLARS = 6_000n * 10_000n

test('200 streams at once against one key never spend more than its cap, and leave little of it', async () => {
  const started: Exchange[] = []
  let refused = 0
  const decided = Promise.withResolvers<void>()
  const decide = () => started.length + refused === STREAMS && decided.resolve()
  const { baseUrl } = await startUpstream(exchange => {
    started.push(exchange)
    decide()
  })
  const server = await startServer(newHome(), {
    upstreams: upstreamConfig(
      baseUrl,
      { input: PRICE.input, cachedInput: PRICE.cached, output: PRICE.output },
      TRANCHE_TOKENS,
    ),
    money: { startingCredit: '1000' },
    log: { level: 'error' },
  })
  const org = (await server.control.listOrgs()).data[0]?.id ?? ''
  const key = await server.control.createKey({ org, name: 'capped', cap: formatDollars(CAP_NANODOLLARS) })
  const within = async () => {
    const { spent, held } = await server.control.getKey(key.id)
    const taken = parseDollars(spent) + parseDollars(held)
    assert.ok(taken <= CAP_NANODOLLARS, `spent ${spent} and held ${held} are above the cap`)
  }

  const looks: Promise<void>[] = []
  const answers = Array.from({ length: STREAMS }, async (_, i) => {
    // Some end within the first tranche and give room to others, some go on until nothing more can be held.
    const seen = await chat({ url: server.url, key: key.secret }, { model: 'paced', max_tokens: 20 + i })
    if (seen.status !== 200) refused++
    if (i % 10 === 0) looks.push(within())
    decide()
    return seen
  })
  await bounded(decided.promise, 'the admission of all streams')
  await within()
  for (const exchange of started) paced(exchange)
  const seen = await bounded(Promise.all(answers), 'the answers')
  await Promise.all(looks)

  const refusals = seen.filter(({ status }) => status !== 200)
  assert.ok(refusals.length >= 50, `${refusals.length} were refused`)
  // The cap is not spent yet when they come, but held by those that run.
  for (const { status, error } of refusals) assert.deepEqual([status, error?.code], [402, 'balance_held'])
  let spent = 0n
  for (const { requestId, status, error, broken, done, finishReason, usage, deltas } of seen) {
    if (status !== 200) continue
    assert.deepEqual([error, broken, done], [null, false, true])
    const { charge, ending, counts } = await ledgerRow(server, requestId, PRICE)
    assert.equal(counts.output, deltas, 'what was received is what is charged')
    if (ending === 'exhausted') assert.deepEqual([finishReason, typeof usage?.notice], ['length', 'string'])
    else assert.equal(ending, 'completed')
    spent += charge
  }
  assert.ok(spent <= CAP_NANODOLLARS, `${spent} of ${CAP_NANODOLLARS} were spent`)
  assert.ok(spent * 100n >= CAP_NANODOLLARS * 95n, `only ${spent} of ${CAP_NANODOLLARS} were spent`)
  const after = await server.control.getKey(key.id)
  assert.deepEqual([parseDollars(after.spent), parseDollars(after.held)], [spent, 0n])
  assert.equal((await server.control.status()).open_holds, 0)
  const rows = await Array.fromAsync(allRows(server.control.listUsage, { limit: 100, key: key.id }))
  assert.equal(rows.length, STREAMS - refusals.length, 'a refused request leaves no row')
  assert.ok(rows.some(row => row.ending === 'exhausted') && rows.some(row => row.ending === 'completed'))
  const { ok, problems } = await server.control.verifyLedger()
  assert.ok(ok, problems.join('\n'))
  await server.stop()
})
