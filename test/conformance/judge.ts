import { setTimeout as sleep } from 'node:timers/promises'
import { parseDollars } from '../../src/ledger/money.ts'
import type { ServerProcess } from '../support/server-process.ts'
import type { CheckLine, CheckResult, Client, SeenUsage } from './client.ts'
import { limitationOf } from './known-limitations.ts'
import type { Exchange } from './wire-tap.ts'

/** Holds what a client says it saw against what went over its wire, and against the ledger. */

const SETTLE_MS_MAX = 10_000
const SETTLE_POLL_MS = 25
const COUNTS = ['input', 'cached', 'output', 'reasoning'] as const

type Row = Awaited<ReturnType<ServerProcess['control']['getUsage']>>['row']

/** Judges one check by what its client printed and by the exchanges of all its checks. */
export async function judge(
  server: ServerProcess,
  client: Client,
  key: string,
  line: CheckLine,
  all: readonly Exchange[],
): Promise<CheckResult> {
  const exchanges = all.filter(({ startedMs }) => startedMs >= line.beganMs && startedMs <= line.endedMs)
  const requestIds = exchanges.flatMap(({ requestId }) => requestId ?? [])
  const rows = await rowsOf(server, key, exchanges)
  const usage = line.usage === undefined ? null : { seen: line.usage, ledger: sumOf(rows.map(({ row }) => row)) }
  const faults = line.ok ? [...faultsOf(line, exchanges, rows, usage)] : [line.detail ?? 'it failed without saying why']
  const limitation = limitationOf(client.id, line.feature)
  if (limitation !== undefined && faults.length === 0)
    faults.push('it passes: known-limitations.ts says that it cannot')
  const isLimited = limitation !== undefined && faults.join() === limitation.fault
  const passed = faults.length === 0
  return {
    client: client.id,
    feature: line.feature,
    verdict: passed ? 'passed' : isLimited ? 'limited' : 'failed',
    detail: passed ? (line.detail ?? '') : isLimited ? limitation.reason : [...faults, ...seenOf(exchanges)].join('; '),
    usage,
    requestIds,
  }
}

function* faultsOf(
  line: CheckLine,
  exchanges: readonly Exchange[],
  rows: readonly { exchange: Exchange; row: Row }[],
  usage: CheckResult['usage'],
): Generator<string> {
  if (line.requests !== undefined && exchanges.length !== line.requests)
    yield `${exchanges.length} requests were sent instead of ${line.requests}`
  const statuses = exchanges.map(({ status }) => status)
  if (line.statuses !== undefined && statuses.join() !== line.statuses.join())
    yield `the answers were ${statuses} instead of ${line.statuses}`
  if (line.requestId !== undefined && !exchanges.some(({ requestId }) => requestId === line.requestId))
    yield `the client was told of a request ${line.requestId} that it did not send`
  for (const { exchange, row } of rows)
    if ((exchange.status ?? 0) >= 400 && Number(row.charge) > 0) yield `a refused request was charged ${row.charge}`
  if (line.cancelled === true)
    for (const { row } of rows)
      if (row.ending !== 'cancelled') yield `the client left, and the ledger says ${row.ending}`
  if (usage === null) return
  const { cost } = usage.seen
  // A double holds 15 digits, more than a charge of some nanodollars has.
  if (cost !== undefined && cost.toFixed(9) !== usage.ledger.cost.toFixed(9))
    yield `the client saw a cost of ${cost}, the ledger has ${usage.ledger.cost}`
  if (rows.length === 0) yield 'the ledger has nothing of it'
  for (const count of COUNTS) {
    const seen = usage.seen[count]
    if (seen !== undefined && seen !== usage.ledger[count])
      yield `the client saw ${seen} ${count} tokens, the ledger has ${usage.ledger[count]}`
  }
}

/** For who has to find out why: what was asked and how it was answered. */
function* seenOf(exchanges: readonly Exchange[]): Generator<string> {
  for (const { method, path, status, answerText } of exchanges.slice(-4)) {
    const answer = (status ?? 0) >= 400 ? ` ${answerText.slice(0, 300)}` : ''
    yield `${method} ${path} ${status ?? 'no answer'}${answer}`
  }
}

/** The ledger's rows of the requests; waits for those that are not settled yet, since nobody tells a client that left. */
async function rowsOf(server: ServerProcess, key: string, exchanges: readonly Exchange[]) {
  const rows: { exchange: Exchange; row: Row }[] = []
  for (const exchange of exchanges) {
    const { requestId, method } = exchange
    if (requestId === null || method !== 'POST') continue
    const row = await settledRow(server, key, requestId)
    if (row !== null) rows.push({ exchange, row })
  }
  return rows
}

/** The row of a request; null when it has none, since it was refused or is no generation. */
async function settledRow(server: ServerProcess, key: string, requestId: string): Promise<Row | null> {
  const untilMs = Date.now() + SETTLE_MS_MAX
  while (Date.now() < untilMs) {
    const answer = await fetch(`${server.url}/v1/usage/${requestId}`, { headers: { authorization: `Bearer ${key}` } })
    const told = (await answer.json()) as { status?: string }
    if (answer.status === 404) return null
    if (told.status === 'settled') return (await server.control.getUsage(requestId)).row
    await sleep(SETTLE_POLL_MS)
  }
  throw new Error(`request ${requestId} did not end within ${SETTLE_MS_MAX / 1000} s`)
}

function sumOf(rows: readonly Row[]): Required<SeenUsage> {
  const sum = { input: 0, cached: 0, output: 0, reasoning: 0, cost: 0 }
  let charge = 0n
  for (const { usage, charge: one } of rows) {
    charge += parseDollars(one)
    sum.input += usage.input_tokens
    sum.cached += usage.cached_input_tokens
    sum.output += usage.output_tokens
    sum.reasoning += usage.reasoning_tokens
  }
  sum.cost = Number(charge) / 1e9
  return sum
}
