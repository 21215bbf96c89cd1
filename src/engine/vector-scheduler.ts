import type { Binding } from './binding.ts'
import { RequestFault } from './fault.ts'
import type { RunMessage } from './messages.ts'
import type { Reporter, Runner } from './runner.ts'
import { prepareVectors, type VectorInput, type VectorModel } from './vector-input.ts'

/** One attempt with its inputs. */
interface Job {
  readonly message: RunMessage
  inputs: readonly VectorInput[]
  started: boolean
  over: boolean
  /** Inputs that have no result yet. */
  left: number
  /** Tokens of the inputs that were given to the model. */
  readTokens: number
}

/** One input: a place in the queue, then a slot. */
interface Item {
  readonly job: Job
  readonly index: number
  readonly input: VectorInput
  requestId: number | undefined
}

/** What a scheduler of embeddings and ranks works with and whom it tells. */
export interface VectorSchedulerOptions extends Reporter {
  readonly binding: Binding
  readonly model: VectorModel
  readonly slots: number
  /** Tokens of one step. */
  readonly batchTokens: number
}

/**
 * Runs embeddings and ranks: first come, first served, as many inputs at once as fit into one step. An input must not be cut in two:
 * a model that reads both ways would see each part alone, and pool the last. The binding fills its steps with whatever is in its slots,
 * so the sum of what is given to it is bounded here.
 */
export class VectorScheduler implements Runner {
  readonly #options: VectorSchedulerOptions
  readonly #jobs = new Map<number, Job>()
  readonly #queue: Item[] = []
  readonly #running = new Set<Item>()
  #runningTokens = 0
  #arrival: Promise<void> = Promise.resolve()

  constructor(options: VectorSchedulerOptions) {
    this.#options = options
  }

  async run(message: RunMessage): Promise<void> {
    const job: Job = { message, inputs: [], started: false, over: false, left: 0, readTokens: 0 }
    this.#jobs.set(message.id, job)
    // Tokenizing takes turns of the native thread pool; the queue keeps the order of arrival.
    const before = this.#arrival
    const ready = this.#prepare(job)
    this.#arrival = ready.then(() => before)
    await ready
    await before
    if (job.over) return
    job.inputs.forEach((input, index) => {
      this.#queue.push({ job, index, input, requestId: undefined })
    })
    this.#pump()
  }

  cancel(id: number): void {
    const job = this.#jobs.get(id)
    if (job === undefined) return
    this.#stop(job)
    if (job.started) this.#usage(job)
    this.#end(job, { kind: 'cancelled' })
    this.#pump()
  }

  async count(input: RunMessage['input']): Promise<number> {
    return sum(await prepareVectors(this.#options.binding, this.#options.model, input))
  }

  /** Never rejects: what cannot be run fails its job. */
  async #prepare(job: Job): Promise<void> {
    try {
      job.inputs = await prepareVectors(this.#options.binding, this.#options.model, job.message.input)
      job.left = job.inputs.length
      if (job.left === 0) throw new RequestFault('bad_request', 'The request has nothing to read.')
    } catch (error) {
      this.#fail(job, error)
    }
  }

  #pump(): void {
    const { slots, batchTokens } = this.#options
    for (;;) {
      const next = this.#queue[0]
      if (next === undefined || this.#running.size >= slots) return
      // The next in line is waited for: a long input must not starve behind short ones.
      if (this.#runningTokens + next.input.tokens > batchTokens) return
      this.#queue.shift()
      this.#start(next)
    }
  }

  #start(item: Item): void {
    const { job, input } = item
    const { binding } = this.#options
    if (!job.started) {
      job.started = true
      this.#options.event(job.message.id, { type: 'started', inputTokens: sum(job.inputs) })
    }
    this.#running.add(item)
    this.#runningTokens += input.tokens
    job.readTokens += input.tokens
    try {
      item.requestId =
        input.kind === 'embed'
          ? binding.embed(input.text, (error, values) => this.#result(item, error, values))
          : binding.rerank(input.query, input.document, (error, score) => this.#result(item, error, [score]))
    } catch (error) {
      this.#fail(job, error)
    }
  }

  #result(item: Item, error: unknown, values: readonly number[]): void {
    const { job } = item
    if (job.over || !this.#running.has(item)) return
    this.#leave(item)
    if (error) {
      this.#fail(job, error)
      return
    }
    if (!makesSense(item.input, values)) {
      this.#fail(job, new RequestFault('internal', `The engine could not read the input at position ${item.index}.`))
      return
    }
    if (item.input.kind === 'embed') {
      const vector = shortened(values, dimensionsOf(job))
      this.#options.event(job.message.id, { type: 'embedding', index: item.index, vector })
    } else {
      this.#options.event(job.message.id, { type: 'score', index: item.index, score: values[0] as number })
    }
    job.left--
    if (job.left === 0) {
      this.#options.event(job.message.id, { type: 'finish', choice: 0, reason: 'stop' })
      this.#usage(job)
      this.#end(job, { kind: 'completed' })
    }
    this.#pump()
  }

  #leave(item: Item): void {
    if (!this.#running.delete(item)) return
    this.#runningTokens -= item.input.tokens
  }

  /** Takes all of a job's inputs out of slots and queue. */
  #stop(job: Job): void {
    for (const item of this.#running) {
      if (item.job !== job) continue
      if (item.requestId !== undefined) this.#options.binding.cancel(item.requestId)
      this.#leave(item)
    }
    const waiting = this.#queue.filter(item => item.job !== job)
    this.#queue.length = 0
    this.#queue.push(...waiting)
  }

  #fail(job: Job, error: unknown): void {
    if (job.over) return
    this.#stop(job)
    if (job.started) this.#usage(job)
    const fault =
      error instanceof RequestFault
        ? error
        : new RequestFault('internal', error instanceof Error ? error.message : String(error))
    this.#end(job, { kind: 'failed', failure: fault.failure })
    this.#pump()
  }

  #usage(job: Job): void {
    this.#options.event(job.message.id, {
      type: 'usage',
      usage: {
        inputTokens: job.readTokens,
        inputSource: 'reported',
        cachedInputTokens: 0,
        cachedInputSource: 'reported',
        cacheWriteTokens: 0,
        cacheWriteSource: 'reported',
        outputTokens: 0,
        outputSource: 'reported',
        reasoningTokens: 0,
        reasoningSource: 'reported',
      },
    })
  }

  #end(job: Job, end: Parameters<Reporter['end']>[1]): void {
    job.over = true
    this.#jobs.delete(job.message.id)
    this.#options.end(job.message.id, end)
  }
}

/** What the binding gives where it could not read an input: a vector of zeros, a score of minus a million, or no numbers. */
const SCORE_OF_FAILURE = -1e6

function makesSense({ kind }: VectorInput, values: readonly number[]): boolean {
  if (!values.every(Number.isFinite)) return false
  return kind === 'embed' ? values.some(value => value !== 0) : values[0] !== SCORE_OF_FAILURE
}

function dimensionsOf({ message: { input } }: Job): number | undefined {
  return input.kind === 'embed' ? input.dimensions : undefined
}

/** The first `dimensions` numbers, at length 1 again: what models that were trained for it (Matryoshka) are cut by. */
export function shortened(values: readonly number[], dimensions: number | undefined): Float32Array {
  if (dimensions === undefined || dimensions >= values.length) return Float32Array.from(values)
  const kept = values.slice(0, dimensions)
  const norm = Math.sqrt(kept.reduce((total, value) => total + value * value, 0))
  return Float32Array.from(kept, value => (norm === 0 ? 0 : value / norm))
}

function sum(inputs: readonly VectorInput[]): number {
  return inputs.reduce((total, { tokens }) => total + tokens, 0)
}
