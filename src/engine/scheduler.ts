import type { AttemptEnd, FinishReason, InferenceEvent } from '../inference/event.ts'
import { type AnswerPiece, type AnswerReader, answerReader } from './answer.ts'
import type { Binding, NativeResult, NativeToken } from './binding.ts'
import { RequestFault } from './fault.ts'
import { type LogprobReader, logprobReader } from './logprobs.ts'
import type { RunMessage } from './messages.ts'
import { type Prepared, type PreparedPrompt, type PromptModel, prepare } from './prompt.ts'
import { type CacheHit, type PendingSave, type PromptCache, shared } from './prompt-cache.ts'
import { nativeSampling } from './sampling.ts'

type Logprobs = Extract<InferenceEvent, { type: 'delta' }>['logprobs']

/** One attempt with its choices. */
interface Job {
  readonly message: RunMessage
  prepared: Prepared | undefined
  readonly sequences: Sequence[]
  started: boolean
  over: boolean
  left: number
  inputTokens: number
  cachedTokens: number
  outputTokens: number
  reasoningTokens: number
}

/** One choice: a place in the queue, then a slot. */
interface Sequence {
  readonly job: Job
  readonly prompt: PreparedPrompt
  readonly choice: number
  /** Whether this choice stands for its prompt when cached tokens are counted: input is counted once per prompt. */
  readonly first: boolean
  requestId: number | undefined
  reader: AnswerReader | undefined
  hit: CacheHit | undefined
  save: PendingSave | undefined
  /** Output tokens sent so far. */
  sent: number
  /** Where log probabilities are read one after another. */
  tail: Promise<void> | undefined
  withoutCache: boolean
}

/** What a scheduler works with and whom it tells. */
export interface SchedulerOptions {
  readonly binding: Binding
  readonly model: PromptModel
  readonly slots: number
  readonly slotTokens: number
  readonly cache: PromptCache | undefined
  /** Whether a state may only be loaded while no other choice runs; see `loadsAlone`. */
  readonly loadsAlone: boolean
  /** Two prompts that share this many tokens more than the cache holds wait for each other. */
  readonly cacheTokensMin: number
  readonly event: (id: number, event: InferenceEvent) => void
  readonly end: (id: number, end: AttemptEnd) => void
  readonly newCallId: () => string
}

/**
 * Runs attempts on the binding's slots: first come, first served, one choice per slot. The queue is here and not in
 * the binding, so that a choice knows what the cache holds at the moment it starts, and `started` is exact.
 */
export class Scheduler {
  readonly #options: SchedulerOptions
  readonly #jobs = new Map<number, Job>()
  readonly #queue: Sequence[] = []
  readonly #running = new Set<Sequence>()
  readonly #logprobs: LogprobReader
  #arrival: Promise<void> = Promise.resolve()

  constructor(options: SchedulerOptions) {
    this.#options = options
    this.#logprobs = logprobReader(options.binding)
  }

  /** Takes an attempt; its events and its end arrive through the options. */
  async run(message: RunMessage): Promise<void> {
    const job: Job = {
      message,
      prepared: undefined,
      sequences: [],
      started: false,
      over: false,
      left: 0,
      inputTokens: 0,
      cachedTokens: 0,
      outputTokens: 0,
      reasoningTokens: 0,
    }
    this.#jobs.set(message.id, job)
    // Preparing takes turns of the native thread pool, and a short prompt may overtake a long one there; the queue
    // keeps the order of arrival.
    const before = this.#arrival
    const ready = this.#prepare(job)
    this.#arrival = ready.then(() => before)
    await ready
    await before
    if (job.over || job.prepared === undefined) return
    this.#enqueue(job, job.prepared)
    this.#pump()
  }

  /** Stops an attempt at once; its usage and its end are reported before this returns. */
  cancel(id: number): void {
    const job = this.#jobs.get(id)
    if (job === undefined) return
    this.#stopSequences(job)
    if (job.started) this.#usage(job)
    this.#end(job, { kind: 'cancelled' })
    this.#pump()
  }

  /** Exact input tokens of a request. Throws `RequestFault` for what cannot be run. */
  async count(input: RunMessage['input']): Promise<number> {
    const { prompts } = await prepare(this.#options.binding, this.#options.model, input)
    return prompts.reduce((sum, prompt) => sum + prompt.tokens.length, 0)
  }

  /** Never rejects: what cannot be run fails its job. */
  async #prepare(job: Job): Promise<void> {
    try {
      const prepared = await prepare(this.#options.binding, this.#options.model, job.message.input)
      if (job.over) return
      this.#check(job, prepared)
      job.prepared = prepared
    } catch (error) {
      this.#fail(job, error)
    }
  }

  #check(job: Job, prepared: Prepared): void {
    const { sampling, input } = job.message
    // Finds what the binding cannot do before anything takes a slot.
    nativeSampling(sampling, 0, prepared.guided)
    if (input.kind === 'text' && input.echo && sampling.topLogprobs !== undefined) {
      throw new RequestFault(
        'bad_request',
        'The embedded engine has no log probabilities of the prompt; leave out echo or logprobs.',
      )
    }
    for (const prompt of prepared.prompts) {
      // The binding answers a prompt that does not fit with zero tokens and no error.
      if (prompt.tokens.length + 1 > this.#options.slotTokens) {
        throw new RequestFault(
          'context_length',
          `The prompt has ${prompt.tokens.length} tokens and needs room for at least one more; the context here is ${this.#options.slotTokens} tokens.`,
        )
      }
    }
  }

  #enqueue(job: Job, prepared: Prepared): void {
    const { n } = job.message
    prepared.prompts.forEach((prompt, index) => {
      job.inputTokens += prompt.tokens.length
      for (let j = 0; j < n; j++) {
        job.sequences.push({
          job,
          prompt,
          choice: index * n + j,
          first: j === 0,
          requestId: undefined,
          reader: undefined,
          hit: undefined,
          save: undefined,
          sent: 0,
          tail: undefined,
          withoutCache: false,
        })
      }
    })
    job.left = job.sequences.length
    this.#queue.push(...job.sequences)
  }

  #pump(): void {
    for (let index = 0; index < this.#queue.length && this.#running.size < this.#options.slots; ) {
      const sequence = this.#queue[index] as Sequence
      if (this.#waitsForPrefix(sequence)) {
        index++
        continue
      }
      this.#queue.splice(index, 1)
      this.#start(sequence)
    }
  }

  /** Whether a running prefill will soon save much more of this prompt than is stored: then waiting is cheaper. */
  #waitsForPrefix(sequence: Sequence): boolean {
    const { cache, cacheTokensMin, loadsAlone } = this.#options
    // Where a state cannot be loaded beside its maker, waiting for it would be waiting for the whole answer.
    if (cache === undefined || loadsAlone || sequence.withoutCache) return false
    let stored: number | undefined
    for (const other of this.#running) {
      if (other.save === undefined || other.save.salt !== sequence.job.message.cacheSalt) continue
      const common = shared(other.save.tokens, sequence.prompt.tokens)
      if (common < cacheTokensMin || !cache.usable(common, other.save.tokens.length)) continue
      stored ??= cache.peek(sequence.job.message.cacheSalt, sequence.prompt.tokens)
      if (common - stored >= cacheTokensMin) return true
    }
    return false
  }

  #start(sequence: Sequence): void {
    const { job, prompt } = sequence
    const { message } = job
    const { binding, cache } = this.#options
    const prepared = job.prepared as Prepared
    if (!job.started) {
      job.started = true
      this.#options.event(message.id, { type: 'started', inputTokens: job.inputTokens })
    }
    if (prompt.echo !== undefined && sequence.sent === 0 && !sequence.withoutCache) {
      this.#options.event(message.id, { type: 'delta', choice: sequence.choice, content: prompt.echo, tokens: 0 })
    }
    this.#running.add(sequence)
    if (message.outputTokensMax <= 0) {
      this.#finish(sequence, 'length')
      return
    }
    const stops = [...message.sampling.stop, ...prepared.stops]
    sequence.reader = answerReader(prepared.shape, stops, this.#options.newCallId)
    if (cache !== undefined && !sequence.withoutCache) {
      const mayLoad = !this.#options.loadsAlone || this.#running.size === 1
      sequence.hit = mayLoad ? cache.find(message.cacheSalt, prompt.tokens) : undefined
      const covered = sequence.hit?.tokens ?? cache.peek(message.cacheSalt, prompt.tokens)
      sequence.save = cache.begin(message.cacheSalt, prompt.tokens, covered)
    }
    try {
      sequence.requestId = binding.queue(
        {
          prompt: prompt.text,
          ...prepared.options,
          ...nativeSampling(message.sampling, sequence.choice, prepared.guided),
          n_predict: message.outputTokensMax,
          stop: stops,
          ...(sequence.hit === undefined
            ? {}
            : {
                load_state_path: sequence.hit.path,
                ...(sequence.hit.tokens < sequence.hit.storedTokens ? { load_state_size: sequence.hit.tokens } : {}),
              }),
          ...(sequence.save === undefined ? {} : { save_prompt_state_path: sequence.save.path }),
        },
        (error, data) => this.#called(sequence, error, data),
      )
    } catch (error) {
      this.#leaveSlot(sequence, false)
      this.#fail(job, error)
    }
  }

  #called(sequence: Sequence, error: unknown, data: NativeToken | NativeResult): void {
    if (sequence.job.over || !this.#running.has(sequence)) return
    if (sequence.job.message.sampling.topLogprobs === undefined) {
      if (error) this.#fail(sequence.job, error)
      else if (data.token !== undefined) this.#token(sequence, data)
      else this.#result(sequence, data)
      return
    }
    // Log probabilities need texts that arrive later; everything of the choice then waits in line.
    const before = sequence.tail ?? Promise.resolve()
    sequence.tail = before.then(async () => {
      if (sequence.job.over) return
      if (error) this.#fail(sequence.job, error)
      else if (data.token === undefined) this.#result(sequence, data)
      else {
        const logprob = await this.#logprobs.read(data, sequence.job.message.sampling.topLogprobs as number)
        if (!sequence.job.over) this.#token(sequence, data, logprob === undefined ? undefined : [logprob])
      }
    })
  }

  #token(sequence: Sequence, data: NativeToken, logprobs?: Logprobs): void {
    this.#settleSave(sequence)
    const reader = sequence.reader as AnswerReader
    const piece = reader.token(data)
    this.#delta(sequence, piece, 1, logprobs, reader.thinking || piece.reasoning.length > 0)
  }

  #result(sequence: Sequence, result: NativeResult): void {
    const natural = result.stopped_eos || result.stopped_limit || result.stopped_word || result.context_full
    if (!natural) {
      this.#broken(sequence)
      return
    }
    const reader = sequence.reader as AnswerReader
    if (sequence.first) sequence.job.cachedTokens += result.timings.cache_n
    this.#settleSave(sequence)
    const { piece, reason } = reader.end(result)
    // Tokens that did not complete a character were not called back; the result knows them all.
    const missing = Math.max(0, result.tokens_evaluated - sequence.sent)
    this.#delta(sequence, piece, missing, undefined, reader.thinking)
    this.#finish(sequence, reason, reader.stoppedBy)
  }

  /** The binding ended a choice for no reason it names: a state that could not be loaded, or a failed step. */
  #broken(sequence: Sequence): void {
    const { hit } = sequence
    const again = hit !== undefined && sequence.sent === 0
    if (again) this.#options.cache?.drop(hit)
    this.#leaveSlot(sequence, false)
    if (again) {
      sequence.withoutCache = true
      this.#queue.unshift(sequence)
      this.#pump()
      return
    }
    this.#fail(sequence.job, new RequestFault('internal', 'The engine could not process the prompt.'))
  }

  /** Sends what a step brought. */
  #delta(sequence: Sequence, piece: AnswerPiece, tokens: number, logprobs: Logprobs, thinking: boolean): void {
    const { job } = sequence
    sequence.sent += tokens
    job.outputTokens += tokens
    if (thinking) job.reasoningTokens += tokens
    if (tokens === 0 && piece.content === '' && piece.reasoning === '' && piece.toolCalls.length === 0) return
    this.#options.event(job.message.id, {
      type: 'delta',
      choice: sequence.choice,
      ...(piece.content === '' ? {} : { content: piece.content }),
      ...(piece.reasoning === '' ? {} : { reasoning: piece.reasoning }),
      ...(piece.toolCalls.length === 0 ? {} : { toolCalls: piece.toolCalls }),
      ...(logprobs === undefined ? {} : { logprobs }),
      tokens,
    })
  }

  #finish(sequence: Sequence, reason: FinishReason, stopSequence?: string): void {
    const { job } = sequence
    this.#leaveSlot(sequence, true)
    this.#options.event(job.message.id, {
      type: 'finish',
      choice: sequence.choice,
      reason,
      ...(stopSequence !== undefined && { stopSequence }),
    })
    job.left--
    if (job.left === 0) {
      this.#usage(job)
      this.#end(job, { kind: 'completed' })
    }
    this.#pump()
  }

  /** The state was written before the first token was drawn. Then those who wait for it may start. */
  #settleSave(sequence: Sequence): void {
    if (sequence.save === undefined) return
    this.#options.cache?.commit(sequence.save)
    sequence.save = undefined
    if (this.#queue.length > 0) this.#pump()
  }

  #leaveSlot(sequence: Sequence, whole: boolean): void {
    const { cache } = this.#options
    this.#running.delete(sequence)
    if (sequence.hit !== undefined) cache?.release(sequence.hit)
    if (sequence.save !== undefined) {
      if (whole) cache?.commit(sequence.save)
      else cache?.abandon(sequence.save)
    }
    sequence.hit = undefined
    sequence.save = undefined
    sequence.requestId = undefined
  }

  /** Takes all of a job's choices out of slots and queue, and counts exactly what they produced. */
  #stopSequences(job: Job): void {
    for (const sequence of job.sequences) {
      if (!this.#running.has(sequence)) continue
      if (sequence.requestId !== undefined) {
        const produced = this.#options.binding.tokensGenerated(sequence.requestId) ?? sequence.sent
        this.#options.binding.cancel(sequence.requestId)
        const missing = Math.max(0, produced - sequence.sent)
        sequence.sent += missing
        job.outputTokens += missing
      }
      if (sequence.first && sequence.hit !== undefined) job.cachedTokens += sequence.hit.tokens
      this.#leaveSlot(sequence, false)
    }
    const waiting = this.#queue.filter(sequence => sequence.job !== job)
    this.#queue.length = 0
    this.#queue.push(...waiting)
  }

  #fail(job: Job, error: unknown): void {
    if (job.over) return
    this.#stopSequences(job)
    if (job.started) this.#usage(job)
    const fault =
      error instanceof RequestFault
        ? error
        : // The binding throws plain errors for options that it does not understand.
          new RequestFault('internal', error instanceof Error ? error.message : String(error))
    this.#end(job, { kind: 'failed', failure: fault.failure })
    this.#pump()
  }

  #usage(job: Job): void {
    this.#options.event(job.message.id, {
      type: 'usage',
      usage: {
        inputTokens: job.inputTokens,
        inputSource: 'reported',
        cachedInputTokens: job.cachedTokens,
        cachedInputSource: 'reported',
        cacheWriteTokens: 0,
        cacheWriteSource: 'reported',
        outputTokens: job.outputTokens,
        outputSource: 'reported',
        reasoningTokens: job.reasoningTokens,
        reasoningSource: 'counted',
      },
    })
  }

  #end(job: Job, end: AttemptEnd): void {
    job.over = true
    this.#jobs.delete(job.message.id)
    this.#options.end(job.message.id, end)
  }
}
