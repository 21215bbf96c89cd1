import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { allRows } from '../../src/control/client.ts'
import { parseDollars } from '../../src/ledger/money.ts'
import { ledgerRow } from '../support/money.ts'
import { bounded, command, headrace, newHome, startServer } from '../support/server.ts'
import { chat, type Seen } from '../support/stream.ts'
import {
  type Exchange,
  paced,
  startUpstream,
  UPSTREAM_CACHED_TOKENS,
  UPSTREAM_INPUT_TOKENS,
  upstreamConfig,
} from '../support/upstream.ts'

const STREAMS = 100
/** The server is killed when so many answers have been seen whole. */
const WHOLE_BEFORE_KILL = 40
const PRICE = { input: '1.30', cached: '0.10', output: '2.60' }

test('kill -9 of the server in the middle of 100 streams', async () => {
  const waiting: Exchange[] = []
  const { baseUrl } = await startUpstream(exchange => {
    exchange.tokens(1)
    waiting.push(exchange)
  })
  const config = {
    upstreams: upstreamConfig(baseUrl, { input: PRICE.input, cachedInput: PRICE.cached, output: PRICE.output }),
    log: { level: 'error' },
  }
  const home = newHome()
  const server = await startServer(home, config)
  const orgId = (await server.control.listOrgs()).data[0]?.id ?? ''
  const credited = parseDollars((await server.control.getCredit(orgId)).balance)

  const began = Promise.withResolvers<void>()
  const enough = Promise.withResolvers<void>()
  let begun = 0
  let whole = 0
  const answers = Array.from({ length: STREAMS }, async (_, i) => {
    // Lengths far apart, so that some answers are near their end at any moment.
    const seen = await chat(server, { model: 'paced', max_tokens: 10 + 4 * i }, ({ deltas }) => {
      if (deltas === 1 && ++begun === STREAMS) began.resolve()
    })
    if (seen.done && ++whole === WHOLE_BEFORE_KILL) enough.resolve()
    return seen
  })
  await bounded(began.promise, 'the first tokens')
  await admissionsWritten(home)

  const second = await command(home, 'serve', '--port', '0')
  assert.equal(second.code, 3)
  assert.match(second.err, /in use by another process \(process \d+/)

  for (const exchange of waiting) paced(exchange)
  await bounded(enough.promise, 'the answers that end first')
  await server.kill()
  const seen = await Promise.all(answers)

  // At once, with nothing cleaned up by hand.
  const again = await startServer(home, config)
  assert.equal(again.key, '', 'the home is the one from before')
  const { ok, problems } = await again.control.verifyLedger()
  assert.ok(ok, problems.join('\n'))
  assert.equal((await again.control.status()).open_holds, 0)
  const credit = await again.control.getCredit(orgId)
  assert.equal(parseDollars(credit.held), 0n)

  const rows = await Array.fromAsync(allRows(again.control.listUsage, { limit: 100 }))
  const interrupted = new Set(
    (await Array.fromAsync(allRows(again.control.listInterrupted, { limit: 100 }))).map(row => row.request),
  )
  assert.equal(new Set(rows.map(row => row.request)).size, rows.length, 'no request has two rows')
  const answered = seen.filter(isWhole)
  assert.ok(answered.length >= WHOLE_BEFORE_KILL && answered.length < STREAMS, `${answered.length} whole`)
  for (const { requestId, usage, deltas } of answered) {
    assert.equal(rows.filter(row => row.request === requestId).length, 1, `${requestId} was seen whole`)
    const { ending, charge, counts } = await ledgerRow(again, requestId, PRICE)
    assert.equal(ending, 'completed')
    assert.deepEqual(counts, { input: UPSTREAM_INPUT_TOKENS, cached: UPSTREAM_CACHED_TOKENS, output: deltas })
    if (usage !== null) assert.equal(BigInt(Math.round(usage.estimated_cost * 1e9)), charge)
  }
  for (const { requestId } of seen) {
    const settled = rows.some(row => row.request === requestId)
    assert.notEqual(settled, interrupted.has(requestId), `${requestId} is settled (${settled}) or interrupted`)
  }
  assert.equal(rows.length + interrupted.size, STREAMS)
  const charged = rows.reduce((sum, row) => sum + parseDollars(row.charge), 0n)
  assert.equal(parseDollars(credit.balance), credited - charged)

  const next = chat({ url: again.url, key: server.key }, { model: 'paced', max_tokens: 3 })
  await bounded(arrival(waiting, STREAMS), 'the next request')
  paced(waiting.at(-1) as Exchange)
  assert.equal((await next).done, true)
  await again.stop()
  assert.equal((await headrace(home, 'ledger', 'verify')).settlements, rows.length + 1)
})

/** The client has the frame that finishes the answer, if not all that follows. */
function isWhole({ finishReason }: Seen): boolean {
  return finishReason !== null
}

// Admissions are written behind the requests, and nobody is told; only what is on disk can be listed after a crash.
async function admissionsWritten(home: string): Promise<void> {
  const database = new DatabaseSync(join(home, 'headrace.db'), { readOnly: true })
  try {
    const count = database.prepare('SELECT count(*) AS count FROM admissions')
    for (let tries = 0; count.get()?.count !== STREAMS; tries++) {
      assert.ok(tries < 400, 'the admissions were not written')
      await sleep(25)
    }
  } finally {
    database.close()
  }
}

async function arrival(waiting: readonly Exchange[], before: number): Promise<void> {
  while (waiting.length <= before) await sleep(5)
}
