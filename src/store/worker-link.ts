import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { JournalFailure } from '../ledger/journal.ts'
import { assert } from '../std/assert.ts'
import type {
  Batch,
  BatchExtras,
  FromWorker,
  RefusedSettlement,
  ToWorker,
  WorkerFailure,
  WorkerSettings,
} from './messages.ts'
import { StoreRefused } from './refusal.ts'

export { StoreRefused }

/** The database could not be opened; the message says why and what to do. */
export class StoreOpenError extends Error {
  override name = 'StoreOpenError'
}

interface Waiting {
  readonly id: number
  resolve(result: unknown): void
  reject(error: Error): void
}

/** One database worker, seen from the main thread: questions out, answers in, in order. */
export class WorkerLink {
  readonly #worker: Worker
  /** In the order of the questions, which is that of the answers. */
  readonly #waiting: Waiting[] = []
  readonly #onFatal: (error: Error) => void
  #nextId = 1
  #dead: Error | null = null
  #closing = false

  private constructor(worker: Worker, onFatal: (error: Error) => void) {
    this.#worker = worker
    this.#onFatal = onFatal
  }

  /** Starts a worker; rejects with `StoreOpenError` when it cannot open the database. */
  static open(settings: WorkerSettings, onFatal: (error: Error) => void): Promise<WorkerLink> {
    const worker = new Worker(new URL(`./worker${extname(import.meta.url)}`, import.meta.url), {
      workerData: settings,
      name: `store ${settings.mode}`,
    })
    const link = new WorkerLink(worker, onFatal)
    return new Promise((resolve, reject) => {
      worker.on('message', (message: FromWorker) => {
        if (message.type === 'ready') resolve(link)
        else if (message.type === 'failed-to-open') {
          link.#closing = true
          reject(new StoreOpenError(message.message))
        } else link.#answer(message)
      })
      worker.on('error', error => {
        reject(error)
        link.#fail(error as Error)
      })
      worker.on('exit', () => link.#fail(new JournalFailure('The database worker ended.')))
    })
  }

  /** Whether the worker is gone, or the disk under it, so that nothing will ever be written again. */
  get dead(): boolean {
    return this.#dead !== null
  }

  /** Resolves once the batch is on disk, with the settlements that were left out of it. */
  write(batch: Batch, extras?: BatchExtras): Promise<readonly RefusedSettlement[]> {
    return this.#ask(id => {
      const json = JSON.stringify(batch)
      return extras === undefined ? { type: 'batch', id, json } : { type: 'batch', id, json, extras }
    }) as Promise<readonly RefusedSettlement[]>
  }

  call<Result>(method: string, ...args: readonly unknown[]): Promise<Result> {
    return this.#ask(id => ({ type: 'call', id, method, args })) as Promise<Result>
  }

  /** Closes the database after everything asked before. */
  async close(): Promise<void> {
    this.#closing = true
    if (this.#dead !== null) {
      await this.#worker.terminate()
      return
    }
    const exited = new Promise(resolve => this.#worker.once('exit', resolve))
    this.#worker.postMessage({ type: 'close' } satisfies ToWorker)
    await exited
  }

  #ask(message: (id: number) => ToWorker): Promise<unknown> {
    if (this.#dead !== null) return Promise.reject(this.#dead)
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#waiting.push({ id, resolve, reject })
      this.#worker.postMessage(message(id))
    })
  }

  #answer(message: Extract<FromWorker, { type: 'done' | 'failed' }>): void {
    const waiting = this.#waiting.shift()
    assert(waiting === undefined || waiting.id === message.id, 'the worker answers in order')
    if (message.type === 'done') {
      waiting?.resolve(message.result)
      return
    }
    const error = errorOf(message.failure)
    waiting?.reject(error)
    // After a failed fsync nobody knows what is on the disk; trying again would make it look fine.
    if (message.failure.kind === 'io') this.#fail(error)
  }

  // Nothing is tried again after this: every later question gets the same answer.
  #fail(error: Error): void {
    if (this.#dead !== null) return
    this.#dead = this.#closing ? new JournalFailure('The store is closed.') : error
    for (const waiting of this.#waiting) waiting.reject(this.#dead)
    this.#waiting.length = 0
    if (!this.#closing) this.#onFatal(error)
  }
}

function errorOf({ kind, message }: WorkerFailure): Error {
  switch (kind) {
    case 'full':
      return new JournalFailure(`The disk is full: ${message}. Free some space; writing then goes on by itself.`)
    case 'busy':
      return new JournalFailure(`Another program has locked the database: ${message}. Stop it.`)
    case 'io':
      return new JournalFailure(`The disk failed: ${message}. Nothing more is written; check the disk, then restart.`)
    case 'refused':
      return new StoreRefused(message)
    case 'other':
      return new Error(`The database could not do it: ${message}`)
  }
}
