/**
 * `npm run bench -- ledger`: what the ledger costs, as ratios in one run:
 *
 * - durable settlements a second beside a bare loop of prepared statements with the same rows, batches and sync mode;
 * - p99 latency at a fixed rate beside the same gateway without a ledger, also with a slow disk (2 ms more for each commit);
 * - CPU time a request with 100,000 keys beside 10, and in a database of ten million rows beside an empty one.
 *
 * What is compared alternates, the order is reversed each round, and all raw values are printed.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cpuSeconds, machine, median, ROOT, type Subject, start, table } from '../process.ts'
import { fill } from './fill.ts'
import { bareLoop, type SettlementRate, throughStore } from './settlements.ts'

const small = process.argv.includes('--small')
const ROUNDS = small ? 1 : 5
const SETTLEMENTS = small ? 512 : 65_536
const PER_SECOND = small ? 200 : 2000
const REQUESTS = small ? 100 : 10_000
const WARM_UP = small ? 50 : 20_000
const SLOW_COMMIT_MS = 2
const KEYS = { few: 10, many: small ? 1000 : 100_000 }
const ROWS = small ? 10_000 : 10_000_000

/** Ratios that the project holds itself to. */
const BOUNDS = { settlements: 0.6, p99: 2.5, growth: 1.1 }

const folder = mkdtempSync(join(tmpdir(), 'headrace-ledger-bench-'))
const running: Subject[] = []

interface Server {
  readonly name: string
  readonly subject: Subject
  readonly port: number
  readonly keys: number
  readonly p99Ms: number[]
  readonly cpuUs: number[]
}

try {
  await main()
} finally {
  for (const subject of running.reverse()) await subject.stop()
  rmSync(folder, { recursive: true, force: true })
}

async function main(): Promise<void> {
  if (process.platform !== 'linux')
    throw new Error('This benchmark reads the CPU time of processes from /proc, so it needs Linux.')
  const stores: SettlementRate[] = []
  const bares: SettlementRate[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const first = round % 2 === 0 ? await throughStore(folder, round, SETTLEMENTS) : null
    bares.push(await bareLoop(folder, round, SETTLEMENTS))
    stores.push(first ?? (await throughStore(folder, round, SETTLEMENTS)))
    say(`settlements, round ${round + 1}/${ROUNDS}: store ${perSecond(stores)}/s, bare loop ${perSecond(bares)}/s`)
  }

  say(`filling a database with ${ROWS} rows`)
  const filled = join(folder, 'filled.db')
  fill(filled, ROWS, Date.now())
  const [, mockPort] = await launch([join(ROOT, 'bench/gateway/mock-upstream.ts')])
  const server = async (name: string, keys: number, database: string | null, commitDelayMs = 0): Promise<Server> => {
    const options = { upstreamPort: mockPort, keys, database, commitDelayMs }
    const [subject, port] = await launch([join(ROOT, 'bench/ledger/server.ts'), JSON.stringify(options)])
    const found = { name, subject, port, keys, p99Ms: [], cpuUs: [] }
    await load(found, WARM_UP)
    return found
  }
  const none = await server('no ledger', KEYS.few, null)
  const fast = await server(`ledger, ${KEYS.few} keys, empty`, KEYS.few, join(folder, 'few.db'))
  const slow = await server(
    `ledger, each commit ${SLOW_COMMIT_MS} ms slower`,
    KEYS.few,
    join(folder, 'slow.db'),
    SLOW_COMMIT_MS,
  )
  const many = await server(`ledger, ${KEYS.many} keys, empty`, KEYS.many, join(folder, 'many.db'))
  const large = await server(`ledger, ${KEYS.few} keys, ${ROWS} rows`, KEYS.few, filled)
  const servers = [none, fast, slow, many, large]
  for (let round = 0; round < ROUNDS; round++) {
    for (const each of round % 2 === 0 ? servers : servers.toReversed()) {
      const before = cpuSeconds(each.subject.pid)
      const { p99Ms } = await load(each, 0)
      each.p99Ms.push(p99Ms)
      each.cpuUs.push(((cpuSeconds(each.subject.pid) - before) * 1e6) / REQUESTS)
      say(
        `round ${round + 1}/${ROUNDS} ${each.name}: p99 ${p99Ms.toFixed(2)} ms, ${each.cpuUs.at(-1)?.toFixed(0)} µs CPU a request`,
      )
    }
  }
  report(stores, bares, servers)
}

async function launch(args: readonly string[]): Promise<[Subject, number]> {
  const subject = start(process.execPath, args)
  running.push(subject)
  const [, port] = await subject.waitFor(/"port":(\d+)/)
  return [subject, Number(port)]
}

async function load(server: Server, warmUp: number): Promise<{ p99Ms: number }> {
  const { port, keys } = server
  const options = { port, keys, perSecond: PER_SECOND, requests: REQUESTS, warmUp }
  const generator = start(process.execPath, [join(ROOT, 'bench/ledger/paced-load.ts'), JSON.stringify(options)])
  const [line] = await generator.waitFor(/\{"failed".*\}/, 300_000)
  const found = JSON.parse(line)
  if (found.failed > 0) throw new Error(`${server.name}: ${found.failed} requests failed:\n${server.subject.output()}`)
  return found
}

function report(stores: readonly SettlementRate[], bares: readonly SettlementRate[], servers: readonly Server[]): void {
  const [none, fast, slow, many, large] = servers as [Server, Server, Server, Server, Server]
  const where = machine()
  const p99 = (server: Server) => median(server.p99Ms)
  const cpu = (server: Server) => median(server.cpuUs)
  const raw = (values: readonly number[], digits: number) => values.map(value => value.toFixed(digits)).join(' ')
  const ratios: [string, number, number, boolean][] = [
    ['durable settlements a second, store / bare loop', perSecond(stores) / perSecond(bares), BOUNDS.settlements, true],
    [`p99 at ${PER_SECOND}/s, ledger / no ledger`, p99(fast) / p99(none), BOUNDS.p99, false],
    [`p99 at ${PER_SECOND}/s, ledger on a slow disk / no ledger`, p99(slow) / p99(none), BOUNDS.p99, false],
    [`CPU a request, ${KEYS.many} / ${KEYS.few} keys`, cpu(many) / cpu(fast), BOUNDS.growth, false],
    [`CPU a request, ${ROWS} rows / empty`, cpu(large) / cpu(fast), BOUNDS.growth, false],
  ]
  const rates = (name: string, found: readonly SettlementRate[]) => [
    name,
    String(perSecond(found)),
    median(found.map(each => each.cpuUs)).toFixed(1),
    raw(
      found.map(each => each.perSecond),
      0,
    ),
  ]
  const lines = [
    '',
    `${where.cpu}, ${where.cores} cores, ${where.memoryGiB} GiB, ${where.platform}, Node ${where.node}, commit ${where.commit}`,
    '',
    table([
      ['durable settlements', 'a second', 'µs CPU each', 'raw a second'],
      rates('store', stores),
      rates('bare loop of prepared statements', bares),
    ]),
    '',
    table([
      [`gateway at ${PER_SECOND} requests a second`, 'p99 ms', 'raw ms', 'µs CPU a request', 'raw µs'],
      ...servers.map(each => [
        each.name,
        p99(each).toFixed(2),
        raw(each.p99Ms, 2),
        cpu(each).toFixed(0),
        raw(each.cpuUs, 0),
      ]),
    ]),
    '',
    table([
      ['ratio', 'measured', 'bound', ''],
      ...ratios.map(([name, measured, bound, atLeast]) => [
        name,
        measured.toFixed(3),
        `${atLeast ? '>=' : '<='} ${bound.toFixed(2)}`,
        (atLeast ? measured >= bound : measured <= bound) ? 'within' : 'MISSED',
      ]),
    ]),
    '',
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

function perSecond(rates: readonly SettlementRate[]): number {
  return Math.round(median(rates.map(each => each.perSecond)))
}

function say(text: string): void {
  process.stderr.write(`  ${text}\n`)
}
