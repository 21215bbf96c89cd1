import { hashText } from './rng.ts'

/** How large and how fast a simulated engine is. */
export interface SimulatedEngineOptions {
  /** Requests that run together. */
  readonly slots: number
  /** Requests that may wait for a slot. */
  readonly queueDepthMax: number
  /** Prompt tokens that the prefix cache holds. */
  readonly cacheTokensMax: number
  readonly prefillTokensPerMs: number
  /** Time of one token of a sequence that runs alone. */
  readonly tokenMs: number
  /** What each further sequence of the batch adds to that. */
  readonly tokenMsPerSequence: number
  /** Tokens of a sequence in one step. */
  readonly tokensPerStep: number
}

/** Work for the engine. */
export interface EngineJob {
  readonly id: string
  readonly prompt: string
  /** Prompts share cached prefixes only under the same salt. */
  readonly cacheSalt: string
  /** Tokens to produce for each choice, 0 or more. */
  readonly outputTokens: readonly number[]
}

/** What one step did, and how long it took. */
export interface EngineStep {
  readonly durationMs: number
  /** Jobs whose prompt was worked through in this step. */
  readonly began: readonly { readonly id: string; readonly inputTokens: number; readonly cachedTokens: number }[]
  readonly produced: readonly EngineOutput[]
}

/** Tokens of one choice, `fromToken` counted from 0 within the choice. */
export interface EngineOutput {
  readonly id: string
  readonly choice: number
  readonly fromToken: number
  readonly tokens: number
  /** The choice came to its end. */
  readonly finished: boolean
}

interface Running {
  readonly job: EngineJob
  readonly done: number[]
  prefilled: boolean
}

/** Characters of a token, everywhere in the simulation. */
const TOKEN_CHARS = 4
/** The prefix cache works in blocks, as engines with paged attention do. */
const BLOCK_TOKENS = 16
const BLOCK_CHARS = BLOCK_TOKENS * TOKEN_CHARS
/** What a chat template adds. */
const TEMPLATE_TOKENS = 5

/**
 * An inference engine without a model: slots with continuous batching, a bounded queue, and a prefix cache in which prompts
 * truly share blocks. It knows no clock: `step` does a piece of work and says how long that takes. Prefill grows with the
 * input that is not cached, a token's time with the number of sequences in the batch.
 */
export class SimulatedEngine {
  readonly #options: SimulatedEngineOptions
  readonly #queue: EngineJob[] = []
  readonly #running = new Map<string, Running>()
  /** Blocks by the hash of the prompt up to and with them, the least recently used first. */
  readonly #cache = new Set<string>()

  constructor(options: SimulatedEngineOptions) {
    this.#options = options
  }

  get running(): number {
    return this.#running.size
  }

  get queued(): number {
    return this.#queue.length
  }

  /** @returns false when slots and queue are full. */
  submit(job: EngineJob): boolean {
    if (this.#running.size < this.#options.slots && this.#queue.length === 0) this.#start(job)
    else if (this.#queue.length < this.#options.queueDepthMax) this.#queue.push(job)
    else return false
    return true
  }

  /** Stops a job; its slot is free in the next step. */
  cancel(id: string): void {
    this.#running.delete(id)
    const at = this.#queue.findIndex(job => job.id === id)
    if (at >= 0) this.#queue.splice(at, 1)
  }

  /** Does the next piece of work; null when there is none. */
  step(): EngineStep | null {
    while (this.#running.size < this.#options.slots && this.#queue.length > 0) {
      this.#start(this.#queue.shift() as EngineJob)
    }
    if (this.#running.size === 0) return null
    const { prefillTokensPerMs, tokenMs, tokenMsPerSequence, tokensPerStep } = this.#options
    const began: { id: string; inputTokens: number; cachedTokens: number }[] = []
    const produced: EngineOutput[] = []
    let uncached = 0
    let sequences = 0
    let longest = 0
    for (const running of this.#running.values()) {
      const { job } = running
      if (!running.prefilled) {
        running.prefilled = true
        const inputTokens = promptTokens(job.prompt)
        const cachedTokens = Math.min(this.#touch(job), inputTokens - 1)
        uncached += inputTokens - cachedTokens
        began.push({ id: job.id, inputTokens, cachedTokens })
      }
      let open = false
      for (const [choice, wanted] of job.outputTokens.entries()) {
        const done = running.done[choice] as number
        if (done > wanted) continue
        const tokens = Math.min(tokensPerStep, wanted - done)
        const finished = done + tokens === wanted
        produced.push({ id: job.id, choice, fromToken: done, tokens, finished })
        // One beyond the wanted number marks a choice that said it is finished.
        running.done[choice] = finished ? wanted + 1 : done + tokens
        if (!finished) open = true
        sequences++
        longest = Math.max(longest, tokens)
      }
      if (!open) this.#running.delete(job.id)
    }
    const durationMs = uncached / prefillTokensPerMs + longest * (tokenMs + tokenMsPerSequence * (sequences - 1))
    return { durationMs, began, produced }
  }

  #start(job: EngineJob): void {
    this.#running.set(job.id, { job, done: job.outputTokens.map(() => 0), prefilled: false })
  }

  /** Tokens of the longest cached prefix; afterwards the whole prompt is cached. */
  #touch(job: EngineJob): number {
    const blocksMax = Math.floor(this.#options.cacheTokensMax / BLOCK_TOKENS)
    let hit = 0
    let missed = false
    let hash = hashText(job.cacheSalt, 1)
    for (let at = 0; at + BLOCK_CHARS <= job.prompt.length; at += BLOCK_CHARS) {
      hash = hashText(job.prompt.slice(at, at + BLOCK_CHARS), hash)
      const block = `${at}:${hash}`
      missed ||= !this.#cache.delete(block)
      if (!missed) hit += BLOCK_TOKENS
      this.#cache.add(block)
    }
    for (const oldest of this.#cache) {
      if (this.#cache.size <= blocksMax) break
      this.#cache.delete(oldest)
    }
    return hit
  }
}

/** Input tokens of a prompt, template included; at least 1. */
export function promptTokens(prompt: string): number {
  return Math.ceil(prompt.length / TOKEN_CHARS) + TEMPLATE_TOKENS
}

/**
 * The text of `tokens` tokens of an answer, from the seed alone: a word and a blank each, so that who reads an answer can
 * count its tokens again.
 */
export function answerText(seed: number, choice: number, fromToken: number, tokens: number): string {
  let text = ''
  for (let i = fromToken; i < fromToken + tokens; i++) {
    text += `${hashText(`${choice}:${i}`, seed).toString(36).slice(0, 4)} `
  }
  return text
}
