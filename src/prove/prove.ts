import { setTimeout as sleep } from 'node:timers/promises'
import { formatDollars } from '../ledger/money.ts'
import { isObject } from '../wire/json-object.ts'
import { audit } from './audit.ts'
import type { BooksPort } from './books-port.ts'
import { besideThis, type Child, ChildProcesses } from './child-processes.ts'
import { Clients } from './clients.ts'
import { killDelayMs, type ProofSize, planCapNanodollars, planKills, planUpstreamKill } from './plan.ts'
import { ProofError } from './proof-error.ts'
import { type ProofReport, reportOf } from './report.ts'
import { Sampler } from './sampler.ts'
import { type ServerProcess, startServer, writeHome } from './server-process.ts'
import { Tally } from './tally.ts'
import type { UpstreamOptions } from './upstream-process.ts'

/** What a proof works with. */
export interface ProofOptions {
  readonly size: ProofSize
  /** Nanodollars; null for one that binds when about four fifths of the run are over. */
  readonly capNanodollars: bigint | null
  /** An empty folder, which becomes the home of the server. The caller removes it. */
  readonly home: string
  /** The program's own entry. */
  readonly mainFile: string
  /** Reaches the control plane of the server that runs on the home. */
  readonly connect: (home: string) => Promise<BooksPort>
  /** Aborted when nobody wants the proof any more: all processes are ended then. */
  readonly signal: AbortSignal
  readonly onProgress: (progress: Progress) => void
}

/** How far a proof is. */
export interface Progress {
  readonly phase: 'starting' | 'asking' | 'auditing'
  /** Requests of the plan that are over, or whole answers that were looked up. */
  readonly done: number
  readonly of: number
  readonly refused: number
  readonly kills: number
  readonly capNanodollars: bigint
  readonly takenNanodollars: bigint
}

const PROGRESS_EVERY_MS = 100
/** Nothing came to its end for so long: the run hangs. */
const STALL_MS_MAX = 120_000
/** Longest wait for running requests to end once nobody asks any more; a cancelled upstream has two seconds to answer. */
const QUIET_MS_MAX = 30_000
const QUIET_LOOK_MS = 50
/** Connections to the upstream beyond one for each client: answers whose client has left may be on their way out yet. */
const SPARE_CONNECTIONS = 64
/** The org has so many times the cap, so that it is the cap that binds. */
const CREDIT_CAPS = 10n

/**
 * Runs clients against a server of its own with an upstream of its own, kills the server in the middle of it, and audits the books
 * against what the clients saw. All processes that it started have ended when it returns, however it does.
 *
 * @throws ProofError when something was in the way of the proof, so that nothing is known.
 */
export async function prove(options: ProofOptions): Promise<ProofReport> {
  const run = new ProofRun(options)
  try {
    return await run.prove()
  } finally {
    await run.close()
  }
}

class ProofRun {
  readonly #options: ProofOptions
  readonly #capNanodollars: bigint
  readonly #children = new ChildProcesses()
  readonly #tally = new Tally()
  readonly #stop = new AbortController()
  /** Rejects with what is in the way of the proof. */
  readonly #failure = Promise.withResolvers<never>()
  readonly #runningAtKills: number[] = []
  readonly #upstream: { child: Child | null; port: number; deaths: number; kills: number } = {
    child: null,
    port: 0,
    deaths: 0,
    kills: 0,
  }
  #server: ServerProcess | null = null
  #books: BooksPort | null = null
  #clients: Clients | null = null
  #sampler: Sampler | null = null
  #phase: Progress['phase'] = 'starting'
  #checked = 0

  constructor(options: ProofOptions) {
    this.#options = options
    this.#capNanodollars = options.capNanodollars ?? planCapNanodollars(options.size)
    this.#failure.promise.catch(() => {})
    const onAbort = () => this.#fail(options.signal.reason)
    if (options.signal.aborted) onAbort()
    else options.signal.addEventListener('abort', onAbort, { once: true })
  }

  async prove(): Promise<ProofReport> {
    const painting = setInterval(() => this.#paint(), PROGRESS_EVERY_MS)
    try {
      // Whatever is being waited for, a failure ends the wait.
      return await Promise.race([this.#prove(), this.#failure.promise])
    } finally {
      clearInterval(painting)
    }
  }

  /** Ends every process and connection. */
  async close(): Promise<void> {
    this.#fail(new ProofError('The proof is over.', ''))
    await this.#clients?.serverDown()()
    await this.#books?.close().catch(() => {})
    await this.#children.killAll()
  }

  async #prove(): Promise<ProofReport> {
    const { size, home } = this.#options
    await this.#startUpstream()
    await writeHome(home, {
      upstreamPort: this.#upstream.port,
      connectionsMax: size.clients + SPARE_CONNECTIONS,
      startingCredit: formatDollars(this.#capNanodollars * CREDIT_CAPS),
    })
    const { books } = await this.#startServer()
    const key = await books.createKey(this.#capNanodollars)

    const sampler = new Sampler(key.id)
    this.#sampler = sampler
    sampler.look(books)
    const sampling = sampler.run()
    sampling.catch(error => this.#fail(error))

    const durationMs = await this.#ask(key.secret)
    await this.#becomeQuiet()
    sampler.stop()
    await sampling
    const atTheEnd = this.#books as BooksPort
    await sampler.sample(atTheEnd)

    this.#phase = 'auditing'
    const result = await audit(this.#tally, atTheEnd, key.id, checked => {
      this.#checked = checked
    })
    const serverEnd = await this.#stopServer()
    return reportOf({
      size,
      capNanodollars: this.#capNanodollars,
      durationMs,
      tally: this.#tally,
      runningAtKills: this.#runningAtKills,
      upstreamDeaths: this.#upstream.deaths,
      upstreamKills: this.#upstream.kills,
      samples: sampler.samples,
      worstTakenNanodollars: sampler.worstTakenNanodollars,
      audit: result,
      serverEnd,
    })
  }

  // Sends all requests of the plan, and kills at its points. Answers how long that took.
  async #ask(secret: string): Promise<number> {
    const { size } = this.#options
    const kills = planKills(size).map(at => ({ at, kill: () => this.#killServer() }))
    const upstreamKill = planUpstreamKill(size)
    if (upstreamKill !== null) kills.push({ at: upstreamKill, kill: () => this.#killUpstream() })
    kills.sort((a, b) => a.at - b.at)
    let killing = Promise.resolve()
    const clients = new Clients(size, secret, this.#tally, this.#stop.signal, begun => {
      while (kills[0] !== undefined && begun >= kills[0].at) {
        const { at, kill } = kills.shift() as (typeof kills)[number]
        killing = killing.then(() => sleep(killDelayMs(size, at))).then(kill)
        killing.catch(error => this.#fail(error))
      }
    })
    this.#clients = clients
    clients.serverUp((this.#server as ServerProcess).url)
    this.#phase = 'asking'
    const startedMs = performance.now()
    const stalls = this.#watchForStalls()
    try {
      await clients.run()
      await killing
    } finally {
      clearInterval(stalls)
    }
    return performance.now() - startedMs
  }

  async #killServer(): Promise<void> {
    const clients = this.#clients as Clients
    const server = this.#server as ServerProcess
    this.#runningAtKills.push(clients.running)
    this.#tally.isServerDown = true
    this.#server = null
    this.#sampler?.look(null)
    const breakOff = clients.serverDown()
    await server.kill()
    await breakOff()
    await this.#books?.close().catch(() => {})
    const { books, url } = await this.#startServer()
    this.#tally.isServerDown = false
    this.#sampler?.look(books)
    clients.serverUp(url)
  }

  async #startServer(): Promise<{ books: BooksPort; url: string }> {
    const { mainFile, home, connect } = this.#options
    const server = await startServer(this.#children, mainFile, home)
    this.#server = server
    void server.ended.then(how => {
      if (this.#server !== server) return
      const log = server.log().trim()
      const detail = log === '' ? '' : ` It wrote:\n${log}`
      this.#fail(new ProofError(`The server ended by itself, with ${how}.${detail}`, 'Report it; it is a bug.'))
    })
    const books = await connect(home)
    this.#books = books
    return { books, url: server.url }
  }

  // Asks it to stop, and answers how it ended: 0 when it drained and closed its books.
  async #stopServer(): Promise<number | NodeJS.Signals | null> {
    const server = this.#server as ServerProcess
    this.#server = null
    await this.#books?.close().catch(() => {})
    return server.stop()
  }

  async #startUpstream(): Promise<void> {
    const { seed, clients } = this.#options.size
    const options: UpstreamOptions = { port: this.#upstream.port, seed, slots: clients + SPARE_CONNECTIONS }
    const child = await this.#children.start(
      'The simulated upstream',
      besideThis('upstream-process'),
      [JSON.stringify(options)],
      () => this.#upstream.deaths++,
    )
    if (!isObject(child.ready) || typeof child.ready.port !== 'number')
      throw new ProofError('The simulated upstream did not say where it listens.', 'Report it; it is a bug.')
    this.#upstream.child = child
    this.#upstream.port = child.ready.port
    void child.ended.then(how => {
      if (this.#upstream.child === child)
        this.#fail(
          new ProofError(`The simulated upstream ended by itself, with ${how}. ${child.log()}`, 'Run it again.'),
        )
    })
  }

  async #killUpstream(): Promise<void> {
    const child = this.#upstream.child as Child
    this.#upstream.child = null
    this.#upstream.kills++
    await child.kill()
    await this.#startUpstream()
  }

  async #becomeQuiet(): Promise<void> {
    const untilMs = performance.now() + QUIET_MS_MAX
    while (performance.now() < untilMs && (await (this.#books as BooksPort).openHolds()) > 0) await sleep(QUIET_LOOK_MS)
  }

  #watchForStalls(): NodeJS.Timeout {
    let sent = -1
    let sinceMs = 0
    return setInterval(() => {
      if (this.#tally.counts.sent !== sent) {
        sent = this.#tally.counts.sent
        sinceMs = performance.now()
      } else if (performance.now() - sinceMs > STALL_MS_MAX) {
        this.#fail(
          new ProofError(
            `No request came to an end within ${STALL_MS_MAX / 1000} s.`,
            'Run it again with fewer --clients.',
          ),
        )
      }
    }, PROGRESS_EVERY_MS)
  }

  #fail(reason: unknown): void {
    this.#failure.reject(reason)
    this.#stop.abort(reason)
    this.#sampler?.stop()
    this.#clients?.giveUp(reason)
  }

  #paint(): void {
    const { size, onProgress } = this.#options
    const { requests, refused } = this.#tally.counts
    const isAudit = this.#phase === 'auditing'
    onProgress({
      phase: this.#phase,
      done: isAudit ? this.#checked : requests,
      of: isAudit ? this.#tally.whole.size : size.requests,
      refused,
      kills: this.#runningAtKills.length,
      capNanodollars: this.#capNanodollars,
      takenNanodollars: (this.#sampler?.spentNanodollars ?? 0n) + (this.#sampler?.heldNanodollars ?? 0n),
    })
  }
}
