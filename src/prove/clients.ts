import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'
import { hashText, Rng } from '../simulation/rng.ts'
import { exchange, type Seen } from './exchange.ts'
import { type ProofSize, planRequest } from './plan.ts'
import type { Tally } from './tally.ts'

/** Nothing of an answer for so long: the proof cannot say what became of it. */
const SILENCE_MS_MAX = 60_000
/** Tries after the first, with waits that double, as clients of the OpenAI API do it. */
const REPEATS_MAX = 4
const BACK_OFF_FIRST_MS = 250

/** The clients of a run: they take one request of the plan after the other, until all were sent. */
export class Clients {
  readonly #size: ProofSize
  readonly #secret: string
  readonly #tally: Tally
  readonly #signal: AbortSignal
  readonly #onBegin: (begun: number) => void
  #begun = 0
  #running = 0
  #pool: Pool | null = null
  #up = Promise.withResolvers<Pool>()

  /** `onBegin` is told how many requests have begun, as each begins. */
  constructor(size: ProofSize, secret: string, tally: Tally, signal: AbortSignal, onBegin: (begun: number) => void) {
    this.#size = size
    this.#secret = secret
    this.#tally = tally
    this.#signal = signal
    this.#onBegin = onBegin
    // Nobody may be waiting when it is told that it will not come.
    this.#up.promise.catch(() => {})
  }

  /** Requests on the wire at the moment. */
  get running(): number {
    return this.#running
  }

  /** The server accepts requests at this address, from now on. */
  serverUp(url: string): void {
    this.#pool = new Pool(url, {
      connections: this.#size.clients,
      pipelining: 1,
      headersTimeout: SILENCE_MS_MAX,
      bodyTimeout: SILENCE_MS_MAX,
    })
    this.#up.resolve(this.#pool)
  }

  /** The server is about to go: who asks next waits for the next one. The result breaks off what still hangs on the old one. */
  serverDown(): () => Promise<void> {
    const pool = this.#pool
    this.#pool = null
    this.#up = Promise.withResolvers()
    this.#up.promise.catch(() => {})
    return async () => pool?.destroy(new Error('the server is gone'))
  }

  /** There will be no next server. */
  giveUp(reason: unknown): void {
    this.#up.reject(reason)
  }

  /** Resolves when all requests of the plan are over. */
  async run(): Promise<void> {
    const clients = Array.from({ length: Math.min(this.#size.clients, this.#size.requests) }, () => this.#client())
    await Promise.all(clients)
  }

  async #client(): Promise<void> {
    while (this.#begun < this.#size.requests) {
      this.#signal.throwIfAborted()
      await this.#ask(this.#begun++)
    }
  }

  async #ask(index: number): Promise<void> {
    const plan = planRequest(this.#size, index)
    const rng = new Rng(hashText(`back-off ${index}`, this.#size.seed))
    await this.#up.promise
    this.#onBegin(this.#begun)
    for (let repeats = 0; ; repeats++) {
      const pool = await this.#up.promise
      this.#running++
      const seen = await exchange(pool, this.#secret, plan)
      this.#running--
      this.#tally.add(plan, seen)
      if (!mayPassLater(seen) || repeats === REPEATS_MAX) {
        this.#tally.close(seen)
        return
      }
      this.#tally.counts.repeats++
      const longestMs = BACK_OFF_FIRST_MS * 2 ** repeats
      await sleep(rng.int(longestMs / 2, longestMs), undefined, { signal: this.#signal })
    }
  }
}

/** What a client repeats: credit that is only held, and a server or upstream that has no room or is down. Not what broke in its middle. */
function mayPassLater({ status, errorCode }: Seen): boolean {
  return errorCode === 'balance_held' || status === 429 || status === 503
}
