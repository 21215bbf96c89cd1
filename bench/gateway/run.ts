/**
 * `npm run bench -- gateway`: what the gateway costs, in one run on one machine against a named peer and against no gateway at all.
 *
 * - CPU of all threads per non-streamed request at saturation, with authentication, hold and durable settlement, beside
 *   `@portkey-ai/gateway` (which does none of the three) on the same mock upstream. Its bound is for the peer as its users run it:
 *   on the machine's own Node (its image has Node 20). How it does on the Node that Headrace brings is shown beside it;
 * - CPU per relayed frame of paced streams, beside a bare undici relay;
 * - resident memory after collection at 20,000 and at 100,000 requests.
 *
 * Subjects alternate, the order is reversed each round, and all raw values are printed.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { cpuSeconds, machine, median, ROOT, type Subject, start, table } from '../process.ts'

const small = process.argv.includes('--small')
const ROUNDS = small ? 1 : 5
/** Long enough that the first moments, when the young generation grows again after a pause, do not count for much. */
const REQUESTS = small ? 500 : 12_000
/** V8 goes on compiling for that long: at 16,000 requests a tenth of the CPU time was still the compiler's. */
const WARM_UP = small ? 200 : 40_000
const CONCURRENCY = 64
const ANSWER_TOKENS = 16
const STREAMS = small ? 50 : 400
const STREAM_TOKENS = 100
const STREAM_CONCURRENCY = 50
const MEMORY_STEPS = small ? [500, 1500] : [20_000, 100_000]

/** Highest ratios that the project holds itself to. */
const BOUNDS = { requestToPeer: 1 / 8, frameToBare: 1.5, memoryGrowth: 1.05 }

interface LoadReport {
  readonly requests: number
  readonly failed: number
  readonly firstFailure: string
  readonly frames: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
}

interface Target {
  readonly name: string
  readonly subject: Subject
  readonly port: number
  readonly headers: Record<string, string>
}

const node = process.execPath
const scratch = mkdtempSync(join(tmpdir(), 'headrace-bench-'))
const running: Subject[] = []
let homes = 0

try {
  await main()
} finally {
  for (const subject of running.reverse()) await subject.stop()
  rmSync(scratch, { recursive: true, force: true })
}

async function main(): Promise<void> {
  if (process.platform !== 'linux')
    throw new Error('This benchmark reads the CPU time of processes from /proc, so it needs Linux.')
  say('starting the mock upstream, headrace, the bare relay and the peer')
  const mock = await startOn('mock upstream', [join(ROOT, 'bench/gateway/mock-upstream.ts')])
  const headrace = await startHeadrace(mock.port)
  const bare = await startOn('bare relay', [join(ROOT, 'bench/gateway/bare-relay.ts'), String(mock.port)])
  // The tests run it small and alone: the peer has to be fetched first.
  const alone = process.argv.includes('--without-peer')
  const peers = alone ? [] : [await startPeer(mock.port, node, 0)]
  const other = alone ? null : otherNode()
  if (other !== null) peers.push(await startPeer(mock.port, other, 1))

  const buffered = {
    model: 'mock',
    max_tokens: ANSWER_TOKENS,
    messages: [{ role: 'user', content: 'What is a headrace? Answer in one sentence.' }],
  }
  const streamed = { ...buffered, stream: true, user: 'paced', max_tokens: STREAM_TOKENS }

  const perRequest: Record<string, number[]> = Object.fromEntries(
    [headrace, ...peers, bare].map(each => [each.name, []]),
  )
  const throughput: Record<string, number[]> = Object.fromEntries(
    [headrace, ...peers, bare].map(each => [each.name, []]),
  )
  for (const target of [headrace, ...peers, bare]) await load(target, buffered, WARM_UP, CONCURRENCY)
  for (let round = 0; round < ROUNDS; round++) {
    for (const target of ordered([headrace, ...peers, bare], round)) {
      const { report, cpu } = await measured(target, buffered, REQUESTS, CONCURRENCY)
      perRequest[target.name]?.push((cpu * 1e6) / REQUESTS)
      throughput[target.name]?.push(report.requests / report.seconds)
      say(
        `round ${round + 1}/${ROUNDS} ${target.name}: ${((cpu * 1e6) / REQUESTS).toFixed(0)} µs CPU a request, ${(report.requests / report.seconds).toFixed(0)} requests/s`,
      )
    }
  }

  const perFrame: Record<string, number[]> = { headrace: [], [bare.name]: [] }
  for (const target of [headrace, bare]) await load(target, streamed, STREAMS, STREAM_CONCURRENCY)
  for (let round = 0; round < ROUNDS; round++) {
    for (const target of ordered([headrace, bare], round)) {
      const { report, cpu } = await measured(target, streamed, STREAMS, STREAM_CONCURRENCY)
      perFrame[target.name]?.push((cpu * 1e6) / report.frames)
      say(
        `round ${round + 1}/${ROUNDS} ${target.name}: ${((cpu * 1e6) / report.frames).toFixed(2)} µs CPU a relayed frame`,
      )
    }
  }

  const memory = await measureMemory(mock.port, buffered)
  report(
    peers.map(each => each.name),
    bare.name,
    perRequest,
    throughput,
    perFrame,
    memory,
  )
}

async function startOn(name: string, args: readonly string[]): Promise<Target> {
  const subject = start(node, args)
  running.push(subject)
  const [, port] = await subject.waitFor(/"port":(\d+)/)
  return { name, subject, port: Number(port), headers: {} }
}

async function startHeadrace(mockPort: number): Promise<Target> {
  const home = join(scratch, `home-${homes++}`)
  mkdirSync(home, { mode: 0o700 })
  const config = join(home, 'config.yaml')
  writeFileSync(
    config,
    [
      'server: {port: 0}',
      'money: {startingCredit: "1000000"}',
      'models: {default: null}',
      'log: {level: warn}',
      'upstreams:',
      `  - {id: mock, baseUrl: "http://127.0.0.1:${mockPort}/v1", allowPrivate: true, connectionsMax: 512, models: [{model: mock, name: mock, contextTokens: 8192, price: {input: "1.30", cachedInput: "0.10", output: "2.60"}}]}`,
      '',
    ].join('\n'),
  )
  const subject = start(node, [
    '--expose-gc',
    '--import',
    join(ROOT, 'bench/collect-on-signal.ts'),
    join(ROOT, 'src/main.ts'),
    'serve',
    '--home',
    home,
    '--config',
    config,
  ])
  running.push(subject)
  const [, port] = await subject.waitFor(/http:\/\/127\.0\.0\.1:(\d+)/)
  const [key] = await subject.waitFor(/sk-hr-[0-9A-Za-z]{33}/)
  return { name: 'headrace', subject, port: Number(port), headers: { authorization: `Bearer ${key}` } }
}

async function startPeer(mockPort: number, runtime: string, index: number): Promise<Target> {
  const folder = join(ROOT, 'bench/peers')
  if (!existsSync(join(folder, 'node_modules/@portkey-ai/gateway'))) {
    say('installing the peers (bench/peers, once)')
    execFileSync('npm', ['ci', '--omit=dev'], { cwd: folder, stdio: 'ignore' })
  }
  const port = 18_000 + (process.pid % 1000) * 2 + index
  // Node itself, not a package script: the process that is measured has to be the gateway.
  const subject = start(
    runtime,
    [join(folder, 'node_modules/@portkey-ai/gateway/build/start-server.js'), '--headless', `--port=${port}`],
    {
      cwd: folder,
      env: { NODE_ENV: 'production', PORT: String(port) },
    },
  )
  running.push(subject)
  await subject.waitFor(/Ready for connections/)
  return {
    name: `portkey on Node ${versionOf(runtime)}`,
    subject,
    port,
    headers: {
      authorization: 'Bearer mock',
      'x-portkey-provider': 'openai',
      'x-portkey-custom-host': `http://127.0.0.1:${mockPort}/v1`,
    },
  }
}

function versionOf(runtime: string): string {
  return execFileSync(runtime, ['--version'], { encoding: 'utf8' }).trim()
}

/** The machine's own Node, where it is another than the one that this project brings; null where there is none. */
function otherNode(): string | null {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(folder => !folder.includes('node_modules'))
  const found = folders.map(folder => join(folder, 'node')).find(path => existsSync(path))
  return found === undefined || versionOf(found) === process.version ? null : found
}

async function load(target: Target, body: object, requests: number, concurrency: number): Promise<LoadReport> {
  const generator = start(node, [
    join(ROOT, 'bench/gateway/load.ts'),
    JSON.stringify({ port: target.port, headers: target.headers, body, requests, concurrency }),
  ])
  const [line] = await generator.waitFor(/\{"requests".*\}/, 300_000)
  const report: LoadReport = JSON.parse(line)
  if (report.failed > 0)
    throw new Error(
      `${target.name}: ${report.failed} of ${requests} requests failed, the first with ${report.firstFailure}`,
    )
  return report
}

async function measured(
  target: Target,
  body: object,
  requests: number,
  concurrency: number,
): Promise<{ report: LoadReport; cpu: number }> {
  const before = cpuSeconds(target.subject.pid)
  const report = await load(target, body, requests, concurrency)
  return { report, cpu: cpuSeconds(target.subject.pid) - before }
}

/** Resident bytes after collection, at each number of requests, of a fresh server. */
async function measureMemory(
  mockPort: number,
  body: object,
): Promise<{ requests: number; rss: number; heapUsed: number }[]> {
  const target = await startHeadrace(mockPort)
  const found: { requests: number; rss: number; heapUsed: number }[] = []
  let sent = 0
  for (const requests of MEMORY_STEPS) {
    await load(target, body, requests - sent, CONCURRENCY)
    sent = requests
    const seen = target.subject.output().split('"collected"').length - 1
    target.subject.child.kill('SIGUSR2')
    await target.subject.waitFor(new RegExp(`(?:[^]*?"collected"[^\\n]*){${seen + 1}}`))
    const line = target.subject
      .output()
      .split('\n')
      .filter(text => text.includes('"collected"'))
      .at(-1) as string
    const { rss, heapUsed } = JSON.parse(line).collected
    found.push({ requests, rss, heapUsed })
    say(`${requests} requests: ${(rss / 2 ** 20).toFixed(1)} MiB resident, ${(heapUsed / 2 ** 20).toFixed(1)} MiB heap`)
  }
  return found
}

function report(
  peers: readonly string[],
  bare: string,
  perRequest: Record<string, number[]>,
  throughput: Record<string, number[]>,
  perFrame: Record<string, number[]>,
  memory: { requests: number; rss: number; heapUsed: number }[],
): void {
  const of = (values: Record<string, number[]>, name: string) => median(values[name] ?? [])
  const frameToBare = of(perFrame, 'headrace') / of(perFrame, bare)
  const [first, last] = [memory[0], memory.at(-1)] as [(typeof memory)[0], (typeof memory)[0]]
  const memoryGrowth = last.rss / first.rss
  const where = machine()
  const raw = (values: number[] | undefined, digits: number) =>
    (values ?? []).map(value => value.toFixed(digits)).join(' ')
  const lines = [
    '',
    `${where.cpu}, ${where.cores} cores, ${where.memoryGiB} GiB, ${where.platform}, Node ${where.node}, commit ${where.commit}`,
    '',
    table([
      ['non-streamed, CPU of all threads', 'µs/request', 'requests/s', 'raw µs'],
      ...['headrace', ...peers, bare].map(name => [
        name,
        of(perRequest, name).toFixed(0),
        of(throughput, name).toFixed(0),
        raw(perRequest[name], 0),
      ]),
    ]),
    '',
    table([
      ['streamed, CPU of all threads', 'µs/frame', 'raw µs'],
      ...['headrace', bare].map(name => [name, of(perFrame, name).toFixed(2), raw(perFrame[name], 2)]),
    ]),
    '',
    table([
      ['memory of headrace after collection', 'resident MiB', 'heap MiB'],
      ...memory.map(step => [
        `${step.requests} requests`,
        (step.rss / 2 ** 20).toFixed(1),
        (step.heapUsed / 2 ** 20).toFixed(1),
      ]),
    ]),
    '',
    table([
      ['ratio', 'measured', 'bound', ''],
      ...peers.map((peer, i) => {
        const ratio = of(perRequest, 'headrace') / of(perRequest, peer)
        // The last is the peer on the machine's own Node.
        const bound = i === peers.length - 1 ? BOUNDS.requestToPeer : null
        return [
          `request, headrace / ${peer}`,
          ratio.toFixed(3),
          bound?.toFixed(3) ?? '-',
          bound === null ? '' : verdict(ratio, bound),
        ]
      }),
      [
        'relayed frame, headrace / bare relay',
        frameToBare.toFixed(3),
        BOUNDS.frameToBare.toFixed(3),
        verdict(frameToBare, BOUNDS.frameToBare),
      ],
      [
        `resident memory, ${last.requests} / ${first.requests} requests`,
        memoryGrowth.toFixed(3),
        BOUNDS.memoryGrowth.toFixed(3),
        verdict(memoryGrowth, BOUNDS.memoryGrowth),
      ],
    ]),
    '',
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

function verdict(found: number, bound: number): string {
  return found <= bound ? 'within' : 'MISSED'
}

function ordered<Item>(items: readonly Item[], round: number): readonly Item[] {
  return round % 2 === 0 ? items : [...items].reverse()
}

function say(text: string): void {
  process.stderr.write(`  ${text}\n`)
}
