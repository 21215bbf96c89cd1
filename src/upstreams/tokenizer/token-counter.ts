import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Clock } from '../../std/clock.ts'
import type { CountAsked, Counted } from './messages.ts'

/** Longest wait for a count, loading the tokenizer (0.3 to 1 s) included; a million characters take about a second. */
const COUNT_TIMEOUT_MS = 5_000
/** Of the worker's own memory; more ends the worker, and its question with it. */
const WORKER_HEAP_MIB_MAX = 1_024
/** Longer texts are not counted: they would take the whole wait. */
const TEXT_CHARS_MAX = 4_000_000
/** Most counts that wait; beyond it there are better things to do than to count. */
const WAITING_MAX = 64

interface Waiting {
  readonly asked: CountAsked
  readonly resolve: (tokens: number) => void
  readonly reject: (error: Error) => void
  readonly stopWaiting: () => void
}

/**
 * Counts tokens with Hugging Face tokenizer files, in one worker thread, which starts with the first question and loads each
 * file once: tokenizing takes a microsecond a character, too long for the thread that relays. Only asked when an upstream
 * reported nothing, or when the bound from the bytes is too high to be paid; whoever asks has a bound to fall back on.
 */
export class TokenCounter {
  readonly #after: Clock['after']
  readonly #onFailure: (message: string) => void
  /** In the order of the questions; the first is with the worker. */
  readonly #waiting: Waiting[] = []
  readonly #told = new Set<string>()
  #worker: Worker | null = null
  #nextId = 1
  #closed = false

  /** `onFailure` is told, once each, what is wrong with a file. */
  constructor(after: Clock['after'], onFailure: (message: string) => void) {
    this.#after = after
    this.#onFailure = onFailure
  }

  /** The tokens of all texts, special tokens not added. Rejects where it cannot count, or not in time. */
  count(file: string, texts: readonly string[]): Promise<number> {
    if (this.#closed) return Promise.reject(new Error('The token counter is closed.'))
    if (this.#waiting.length >= WAITING_MAX) return Promise.reject(new Error(`${WAITING_MAX} counts wait already.`))
    const chars = texts.reduce((sum, text) => sum + text.length, 0)
    if (chars > TEXT_CHARS_MAX)
      return Promise.reject(new Error(`Texts of more than ${TEXT_CHARS_MAX} characters are not counted.`))
    return new Promise((resolve, reject) => {
      const asked = { id: this.#nextId++, file, texts }
      const stopWaiting = this.#after(COUNT_TIMEOUT_MS, () => this.#giveUp(asked.id))
      this.#waiting.push({ asked, resolve, reject, stopWaiting })
      if (this.#waiting.length === 1) this.#next()
    })
  }

  /** Ends the worker; what waits is rejected. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#stop(new Error('The token counter is closed.'))
  }

  #next(): void {
    const [first] = this.#waiting
    if (first === undefined) {
      this.#worker?.unref()
      return
    }
    this.#worker ??= this.#start()
    this.#worker.ref()
    this.#worker.postMessage(first.asked)
  }

  #start(): Worker {
    const worker = new Worker(new URL(`./worker${extname(import.meta.url)}`, import.meta.url), {
      name: 'tokenizer',
      resourceLimits: { maxOldGenerationSizeMb: WORKER_HEAP_MIB_MAX },
    })
    worker.on('message', (counted: Counted) => this.#answer(counted))
    worker.on('error', error => {
      if (this.#worker === worker) void this.#stop(error as Error)
    })
    return worker
  }

  #answer(counted: Counted): void {
    const [first] = this.#waiting
    if (first?.asked.id !== counted.id) return
    this.#waiting.shift()
    first.stopWaiting()
    if ('tokens' in counted) first.resolve(counted.tokens)
    else {
      if (!this.#told.has(first.asked.file)) this.#onFailure(counted.failure)
      this.#told.add(first.asked.file)
      first.reject(new Error(counted.failure))
    }
    this.#next()
  }

  #giveUp(id: number): void {
    const position = this.#waiting.findIndex(each => each.asked.id === id)
    const [late] = position === -1 ? [] : this.#waiting.splice(position, 1)
    late?.reject(new Error(`Counting took longer than ${COUNT_TIMEOUT_MS} ms.`))
    if (position !== 0) return
    // It is busy with what nobody waits for any more; the next one starts afresh.
    void this.#worker?.terminate()
    this.#worker = null
    this.#next()
  }

  async #stop(error: Error): Promise<void> {
    const worker = this.#worker
    this.#worker = null
    for (const { reject, stopWaiting } of this.#waiting.splice(0)) {
      stopWaiting()
      reject(error)
    }
    await worker?.terminate()
  }
}
