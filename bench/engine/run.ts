/**
 * `npm run bench -- engine [--small] [--home <folder>]`: what of the binding's speed is left at the public API.
 *
 * - output tokens per second through HTTP streaming, with authentication, holds, settlement and the prompt-state cache, beside
 *   the same chats in a bare process that calls the binding: same slots, threads, sampling, concurrency and token counts;
 * - time to the first token of a long prompt the first and the second time;
 * - memory of the process that runs the model.
 *
 * Sides alternate, the order is reversed each round, and all raw values are printed. The real model is taken from a home that has
 * it (`--home`, else the usual one) or pulled; `--small` runs the generated models only, on which the speed is not judged: they are
 * so small that a token costs less than its way to a client.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { cpuSeconds, machine, median, table } from '../process.ts'
import { memoryOf, prepareFixture, prepareReal, REAL_MODEL, type Server, startDirect, startServer } from './subjects.ts'
import { ask, round } from './workload.ts'

const small = process.argv.includes('--small')
const homeAt = process.argv.indexOf('--home')
const SLOTS = 4
const ROUNDS = small ? 2 : Number(process.env.ROUNDS ?? 9)
/** Chats of a round and their mean output tokens: for the real model as few as tell, since a CPU takes seconds for each. */
const REAL_LOAD = { asks: 4, outputTokens: 64 }
const FIXTURE_LOAD = small ? { asks: 8, outputTokens: 32 } : { asks: 32, outputTokens: 128 }
/** Sentences of the long prompt, about 1,500 tokens; the generated models have fewer words as tokens. */
const LONG_SENTENCES: Readonly<Record<string, number>> = { [REAL_MODEL]: 155 }
const LONG_ROUNDS = small ? 1 : 2

/** What the project holds itself to: the lowest share of the binding's speed, the highest share of the first prompt's time. */
const BOUNDS = { speed: 0.95, repeatedPrompt: 0.25 }

interface SpeedRound {
  readonly direct: number
  readonly api: number
  /** CPU seconds per thousand output tokens. */
  readonly cpu: { readonly direct: number; readonly engine: number; readonly server: number; readonly client: number }
  readonly cachedShare: number
}

interface LongPrompt {
  readonly inputTokens: number
  readonly cachedTokens: number
  readonly firstMs: number
  readonly secondMs: number
}

interface Found {
  readonly model: string
  readonly judged: boolean
  readonly speed: readonly SpeedRound[]
  readonly long: readonly LongPrompt[]
  readonly loadedRss: number
  readonly engine: ReturnType<typeof memoryOf>
  readonly direct: ReturnType<typeof memoryOf> | null
  readonly serverRss: number
}

const scratch = mkdtempSync(join(tmpdir(), 'headrace-bench-'))
try {
  await main()
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

async function main(): Promise<void> {
  if (process.platform !== 'linux')
    throw new Error('This benchmark reads the memory and the CPU time of processes from /proc, so it needs Linux.')
  const loadBefore = loadavg()[0] as number
  const found: Found[] = []
  if (!small) {
    const given = homeAt < 0 ? undefined : process.argv[homeAt + 1]
    say(`looking for ${REAL_MODEL}`)
    const real = prepareReal(scratch, given, SLOTS)
    say(`${REAL_MODEL}: ${real.origin}`)
    found.push(await measure(real, true, true))
  }
  found.push(await measure(await prepareFixture('llama', scratch, SLOTS), true, false))
  found.push(await measure(await prepareFixture('deepseek4', scratch, SLOTS), false, false))
  report(found, loadBefore)
}

async function measure(
  prepared: Awaited<ReturnType<typeof prepareFixture>>,
  withSpeed: boolean,
  judged: boolean,
): Promise<Found> {
  say(`${prepared.model}: starting the server`)
  const server = await startServer(prepared)
  try {
    const loadedRss = memoryOf(server.enginePid).rss
    const { speed, direct } = withSpeed ? await measureSpeed(server, prepared) : { speed: [], direct: null }
    const long: LongPrompt[] = []
    for (let number = 0; number < LONG_ROUNDS; number++) long.push(await measureLong(server, prepared.model, number))
    return {
      model: prepared.model,
      judged,
      speed,
      long,
      loadedRss,
      engine: memoryOf(server.enginePid),
      direct,
      serverRss: memoryOf(server.subject.pid).rss,
    }
  } finally {
    await server.api.close()
    await server.subject.stop()
  }
}

async function measureLong(server: Server, model: string, number: number): Promise<LongPrompt> {
  const long = ask(900_000 + number, LONG_SENTENCES[model] ?? 95, 4)
  const first = await server.api.chat(long)
  const second = await server.api.chat(long)
  if (first.cachedTokens > first.inputTokens / 10) throw new Error('The long prompt was not new to the cache.')
  say(
    `${model}: prompt of ${first.inputTokens} tokens, first token after ${first.ttftMs.toFixed(1)} ms, then ${second.ttftMs.toFixed(1)} ms`,
  )
  return {
    inputTokens: first.inputTokens,
    cachedTokens: second.cachedTokens,
    firstMs: first.ttftMs,
    secondMs: second.ttftMs,
  }
}

async function measureSpeed(
  server: Server,
  { model, setup }: Awaited<ReturnType<typeof prepareFixture>>,
): Promise<{ speed: SpeedRound[]; direct: ReturnType<typeof memoryOf> }> {
  const direct = await startDirect(setup)
  const load = loadOf(model)
  try {
    const speed: SpeedRound[] = []
    const warmUp = round(999, SLOTS, load.outputTokens)
    await direct.run(warmUp, SLOTS)
    await server.api.run(warmUp, SLOTS)
    for (let number = 0; number < ROUNDS; number++) {
      const asks = round(number, load.asks, load.outputTokens)
      const expected = asks.reduce((sum, ask) => sum + ask.outputTokens, 0)
      const cpu = { direct: 0, engine: 0, server: 0, client: 0 }
      const rate = { direct: 0, api: 0 }
      let cachedShare = 0
      const sides = {
        async direct() {
          const before = cpuSeconds(direct.pid)
          const outcome = await direct.run(asks, SLOTS)
          cpu.direct = ((cpuSeconds(direct.pid) - before) * 1000) / outcome.outputTokens
          rate.direct = outcome.outputTokens / outcome.seconds
          requireTokens(`${model}, direct`, outcome.outputTokens, expected)
        },
        async api() {
          const pids = { engine: server.enginePid, server: server.subject.pid, client: process.pid }
          const before = {
            engine: cpuSeconds(pids.engine),
            server: cpuSeconds(pids.server),
            client: cpuSeconds(pids.client),
          }
          const outcome = await server.api.run(asks, SLOTS)
          for (const part of ['engine', 'server', 'client'] as const)
            cpu[part] = ((cpuSeconds(pids[part]) - before[part]) * 1000) / outcome.outputTokens
          rate.api = outcome.outputTokens / outcome.seconds
          cachedShare = outcome.cachedTokens / outcome.inputTokens
          requireTokens(`${model}, API`, outcome.outputTokens, expected)
        },
      }
      for (const side of number % 2 === 0 ? [sides.direct, sides.api] : [sides.api, sides.direct]) await side()
      speed.push({ ...rate, cpu, cachedShare })
      say(
        `${model}, round ${number + 1}/${ROUNDS}: direct ${rate.direct.toFixed(1)} tokens/s, API ${rate.api.toFixed(1)} (${((100 * rate.api) / rate.direct).toFixed(1)} %)`,
      )
    }
    return { speed, direct: memoryOf(direct.pid) }
  } finally {
    await direct.stop()
  }
}

function loadOf(model: string): typeof REAL_LOAD {
  return model === REAL_MODEL ? REAL_LOAD : FIXTURE_LOAD
}

function requireTokens(side: string, found: number, expected: number): void {
  if (found !== expected) throw new Error(`${side}: ${found} output tokens instead of ${expected}.`)
}

function report(found: readonly Found[], loadBefore: number): void {
  const where = machine()
  const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1)
  const lines = [
    '',
    `${where.cpu}, ${where.cores} cores, ${where.memoryGiB} GiB, ${where.platform}, Node ${where.node}, commit ${where.commit}`,
    `load average at the start ${loadBefore.toFixed(2)}${loadBefore > 0.5 ? ': others were at work, so single rounds mean little' : ''}`,
  ]
  const verdicts = [['ratio', 'measured', 'bound', '']]
  for (const { model, judged, speed, long, loadedRss, engine, direct, serverRss } of found) {
    if (speed.length > 0) {
      const ratios = speed.map(one => one.api / one.direct)
      const row = (name: string, values: readonly number[], digits: number) => [
        name,
        median(values).toFixed(digits),
        values.map(value => value.toFixed(digits)).join(' '),
      ]
      lines.push(
        '',
        `${model}, ${SLOTS} at a time, ${loadOf(model).asks} chats a round, ${(100 * median(speed.map(one => one.cachedShare))).toFixed(0)} % of the input cached`,
        table([
          ['output tokens per second', 'median', 'raw'],
          row(
            'binding, called directly',
            speed.map(one => one.direct),
            1,
          ),
          row(
            'public API',
            speed.map(one => one.api),
            1,
          ),
          row('API / direct of each round', ratios, 3),
        ]),
        '',
        table([
          ['CPU seconds per 1,000 tokens', 'median', 'raw'],
          row(
            'binding, called directly',
            speed.map(one => one.cpu.direct),
            2,
          ),
          row(
            'engine process',
            speed.map(one => one.cpu.engine),
            2,
          ),
          row(
            'server process',
            speed.map(one => one.cpu.server),
            2,
          ),
          row(
            'client of the benchmark',
            speed.map(one => one.cpu.client),
            2,
          ),
        ]),
      )
      const ratio = median(ratios)
      const cpuRatio = median(speed.map(({ cpu }) => cpu.direct / (cpu.engine + cpu.server + cpu.client)))
      const verdict = judged ? (ratio >= BOUNDS.speed ? 'within' : 'MISSED') : 'not judged'
      verdicts.push([`${model}: speed, API / direct`, ratio.toFixed(3), BOUNDS.speed.toFixed(3), verdict])
      // Explains the speed and does not replace it: threads that wait for each other lose time without using a core.
      verdicts.push([
        `${model}: CPU of a token, direct / engine + server + client`,
        cpuRatio.toFixed(3),
        '',
        'not judged',
      ])
    }
    const prompt = long[0] as LongPrompt
    const repeated = long.map(one => one.secondMs / one.firstMs)
    lines.push(
      '',
      table([
        [`${model}, prompt of ${prompt.inputTokens} tokens`, 'ms to the first token', 'raw'],
        [
          'first time',
          median(long.map(one => one.firstMs)).toFixed(1),
          long.map(one => one.firstMs.toFixed(1)).join(' '),
        ],
        [
          `second time, ${prompt.cachedTokens} cached`,
          median(long.map(one => one.secondMs)).toFixed(1),
          long.map(one => one.secondMs.toFixed(1)).join(' '),
        ],
      ]),
      '',
      table([
        [`${model}, resident MiB`, 'loaded', 'after the run', 'peak', 'not file pages'],
        ['engine process', mib(loadedRss), mib(engine.rss), mib(engine.peak), mib(engine.anonymous)],
        ...(direct === null ? [] : [['bare process', '', mib(direct.rss), mib(direct.peak), mib(direct.anonymous)]]),
        ['server process', '', mib(serverRss), '', ''],
      ]),
    )
    verdicts.push([
      `${model}: repeated prompt, second / first`,
      median(repeated).toFixed(3),
      BOUNDS.repeatedPrompt.toFixed(3),
      median(repeated) < BOUNDS.repeatedPrompt ? 'within' : 'MISSED',
    ])
  }
  process.stdout.write(`${[...lines, '', table(verdicts), ''].join('\n')}\n`)
}

function say(text: string): void {
  process.stderr.write(`  ${text}\n`)
}
