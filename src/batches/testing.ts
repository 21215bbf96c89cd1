import { mkdtempSync, rmSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ApiError } from '../errors.ts'
import { FileFolder, FileWriter } from '../files/file-folder.ts'
import { Files } from '../files/files.ts'
import { MemoryKept } from '../ledger/testing.ts'
import type { Clock } from '../std/clock.ts'
import type { BatchOrder } from './batch.ts'
import { Batches, unfinishedBatches } from './batches.ts'
import { BATCH_PATHS } from './endpoints.ts'
import type { LineAnswer } from './line-verdict.ts'
import type { LineRequest } from './ports.ts'

const DAY_MS = 86_400_000

/** Who hands in what the tests hand in. */
export const OWNER = { orgId: 'org_a', keyId: 'key_a' }

/** What a line's body asks of the world, so that a test reads as a list of what happens. */
export type Act = 'ok' | 'bad' | 'busy once' | 'down' | 'poor' | 'wait'

/** A clock that stands still until somebody lets the next timer come. */
class StillClock implements Clock {
  #ms = 1_000_000
  readonly #timers = new Set<{ readonly atMs: number; readonly callback: () => void }>()

  nowMs(): number {
    return this.#ms
  }

  monotonicMs(): number {
    return this.#ms
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.#ms + Math.max(0, delayMs), callback }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  /** Lets the timer come that is due first; false when there is none. */
  next(): boolean {
    const [first] = [...this.#timers].sort((a, b) => a.atMs - b.atMs)
    if (first === undefined) return false
    this.#timers.delete(first)
    this.#ms = Math.max(this.#ms, first.atMs)
    first.callback()
    return true
  }

  pass(ms: number): void {
    this.#ms += ms
  }
}

/** One process on a world: everything that it asks of the world is a step, and it can die before or after any. */
interface Process {
  readonly batches: Batches
  readonly files: Files
  /** Steps that it took. */
  readonly steps: () => number
  readonly dead: () => boolean
  /** Takes up what a process before left. */
  readonly goOn: () => void
}

/** What outlives processes: the disk, and what was charged. */
export class World {
  readonly path = mkdtempSync(join(tmpdir(), 'hr-batches-'))
  readonly kept = new MemoryKept()
  readonly clock = new StillClock()
  /** How often each line was charged, by its custom_id. */
  readonly charged = new Map<string, number>()
  /** How often each line was tried. */
  readonly tried = new Map<string, number>()
  readonly errors: unknown[] = []
  rich = false
  refusal: ApiError | null = null
  crowded = false
  /** Lets the lines end that wait. */
  letGo: () => void = () => undefined
  readonly #opened: (() => Promise<unknown>)[] = []
  #pending = 0
  #ids = 0

  /** Removes what it has on disk, and closes what the dead have left open: here they have no process that ends. */
  async remove(): Promise<void> {
    for (const close of this.#opened.splice(0)) await close().catch(() => undefined)
    rmSync(this.path, { recursive: true, force: true })
  }

  /** Starts a process that dies at its `crashAt`-th step, if at all. */
  async start({ crashAt = Number.POSITIVE_INFINITY, concurrency = 2, openMaxPerOrg = 50 } = {}): Promise<Process> {
    let steps = 0
    let dead = false
    const mayGoOn = async () => {
      if (++steps >= crashAt) dead = true
      // A process that is dead waits for ever.
      if (dead) await new Promise(() => undefined)
    }
    const step = async <Result>(effect: () => Promise<Result>): Promise<Result> => {
      await mayGoOn()
      this.#pending++
      let result: Result
      try {
        result = await effect()
      } finally {
        this.#pending--
      }
      await mayGoOn()
      return result
    }
    const opened = (close: () => Promise<unknown>) => this.#opened.push(close)
    const kept = stepped(this.kept, step, opened)
    const folder = stepped(await FileFolder.open(this.path), step, opened)
    const nowMs = () => this.clock.nowMs()
    const newId = (prefix: string) => `${prefix}${++this.#ids}`
    const settings = { bytesMax: 1e9, totalBytesMaxPerOrg: 1e9, keepMs: 30 * DAY_MS }
    const unfinished = await unfinishedBatches(this.kept, nowMs())
    const files = await Files.open({ folder, kept, nowMs, newId, settings }, unfinished)
    const clock: Clock = {
      ...{ nowMs, monotonicMs: () => this.clock.monotonicMs() },
      after: (ms, callback) => this.clock.after(ms, () => dead || callback()),
    }
    const batches = new Batches({
      ...{ kept, files, clock, newId },
      run: async line => step(() => this.#answer(line)),
      refusalOf: () => this.refusal,
      crowded: () => this.crowded,
      settings: { concurrency, openMaxPerOrg, lineBytesMax: 10_000, paths: BATCH_PATHS },
      onError: error => this.errors.push(error),
    })
    return { batches, files, steps: () => steps, dead: () => dead, goOn: () => batches.start(unfinished) }
  }

  /** Uploads lines that ask for what is said, named by their place. */
  upload({ files }: Process, acts: readonly Act[]): Promise<string> {
    const lines = acts.map((act, i) =>
      JSON.stringify({
        ...{ custom_id: `${i} ${act}`, method: 'POST', url: '/v1/chat/completions' },
        body: { model: 'm', act, name: `${i} ${act}` },
      }),
    )
    return this.uploadText(files, lines.join('\n'))
  }

  async uploadText(files: Files, text: string, owner = OWNER): Promise<string> {
    const upload = await files.begin(owner, 0)
    await upload.write(Buffer.from(text))
    return (await files.finish(upload, owner, { filename: 'in.jsonl', purpose: 'batch', expiresAfterS: null })).id
  }

  /** Lets time pass, timer by timer, whenever nothing else is left to do, until `enough`, or until there is no timer. */
  async drive(enough: () => boolean | Promise<boolean>): Promise<void> {
    for (;;) {
      await this.#quiet()
      if ((await enough()) || !this.clock.next()) return
    }
  }

  /** The status of a batch on disk. */
  async status(id: string): Promise<string | undefined> {
    return (await this.kept.find('batch', OWNER.orgId, id, this.clock.nowMs()))?.state
  }

  /** Drives a batch to where it ends. */
  end(id: string, process?: Process): Promise<void> {
    const ends = ['completed', 'failed', 'expired', 'cancelled']
    return this.drive(async () => process?.dead() === true || ends.includes((await this.status(id)) ?? ''))
  }

  // Nothing of the world is asked any more, and nobody has anything to do with what was answered.
  async #quiet(): Promise<void> {
    for (let calm = 0; calm < 3; calm = this.#pending === 0 ? calm + 1 : 0)
      await new Promise(resolve => setImmediate(resolve))
  }

  async #answer({ body, keep, requestId }: LineRequest): Promise<LineAnswer> {
    const { act, name } = JSON.parse(Buffer.from(body).toString()) as { act: Act; name: string }
    const tries = (this.tried.get(name) ?? 0) + 1
    this.tried.set(name, tries)
    if (act === 'wait') {
      this.#pending--
      await new Promise<void>(resolve => {
        const before = this.letGo
        this.letGo = () => {
          before()
          resolve()
        }
      })
      this.#pending++
    }
    if (act === 'bad') return refusal(400, 'invalid_value')
    if (act === 'down') return refusal(502, 'upstream_error')
    if (act === 'busy once' && tries === 1) return refusal(429, 'engine_overloaded', 2000)
    if (act === 'poor' && !this.rich) return refusal(402, 'insufficient_balance')
    const usage = { prompt_tokens: 10, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 4 } }
    const answer = JSON.stringify({ id: requestId, name, usage })
    // The charge and what is kept with it are one transaction.
    this.charged.set(name, (this.charged.get(name) ?? 0) + 1)
    await this.kept.put(...keep(Buffer.from(answer), this.clock.nowMs()))
    return { status: 200, body: answer, retryAfterMs: null }
  }
}

/** An order for a file of chats. */
export function order(inputFileId: string, changes: Partial<BatchOrder> = {}): BatchOrder {
  return { endpoint: '/v1/chat/completions', inputFileId, metadata: null, outputExpiresAfterS: null, ...changes }
}

function refusal(status: number, code: string, retryAfterMs: number | null = null): LineAnswer {
  return { status, body: JSON.stringify({ error: { code, message: `It is ${code}.` } }), retryAfterMs }
}

type Step = <Result>(effect: () => Promise<Result>) => Promise<Result>

/** The object, each call of whose methods is a step, as is each of what it hands out to read and write with. */
function stepped<Target extends object>(
  target: Target,
  step: Step,
  opened: (close: () => Promise<unknown>) => void,
): Target {
  return new Proxy(target, {
    get(_, name) {
      const value = Reflect.get(target, name) as unknown
      if (typeof value !== 'function') return value
      return async (...args: unknown[]) => {
        const result = await step(async () => {
          const made = await value.apply(target, args)
          if (isHandle(made)) opened(() => made.close())
          if (made instanceof FileWriter) opened(() => made.abandon())
          return made
        })
        return isHandle(result) || result instanceof FileWriter ? stepped(result, step, opened) : result
      }
    },
  })
}

function isHandle(value: unknown): value is FileHandle {
  return typeof value === 'object' && value !== null && 'fd' in value
}
