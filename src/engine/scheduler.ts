import type { AttemptEnd, FinishReason, InferenceEvent } from '../inference/event.ts'
import { type AnswerPiece, type AnswerReader, answerReader } from './answer.ts'
import type { Binding, NativeResult, NativeToken } from './binding.ts'
import { RequestFault } from './fault.ts'
import { type LogprobReader, logprobReader, type TokenPieces } from './logprobs.ts'
import type { RunMessage } from './messages.ts'
import { type Prepared, type PromptModel, prepare } from './prompt.ts'
import { type PromptCache, shared } from './prompt-cache.ts'
import { Cancelled, type PromptScorer } from './prompt-scorer.ts'
import type { Reporter, Runner } from './runner.ts'
import { nativeSampling } from './sampling.ts'
import { type Job, newJob, newSequence, type Sequence, usageOf } from './sequence.ts'

type Logprobs = Extract<InferenceEvent, { type: 'delta' }>['logprobs']

/** What a scheduler works with and whom it tells. */
export interface SchedulerOptions extends Reporter {
  readonly binding: Binding
  readonly model: PromptModel
  readonly slots: number
  readonly slotTokens: number
  readonly cache: PromptCache | undefined
  readonly scorer: PromptScorer
  readonly pieces: TokenPieces
  /** Whether a state may only be loaded while no other choice runs; see `loadsAlone`. */
  readonly loadsAlone: boolean
  /** Two prompts that share this many tokens more than the cache holds wait for each other. */
  readonly cacheTokensMin: number
  readonly newCallId: () => string
}

/** How soon to look again whether the slots are idle; a step takes some tens of milliseconds. */
const FORGET_RETRY_MS = 5

/**
 * Runs attempts on the binding's slots: first come, first served, one choice per slot. The queue is here and not in
 * the binding, so that a choice knows what the cache holds at the moment it starts, and `started` is exact.
 */
export class Scheduler implements Runner {
  readonly #options: SchedulerOptions
  readonly #jobs = new Map<number, Job>()
  readonly #queue: Sequence[] = []
  readonly #running = new Set<Sequence>()
  readonly #logprobs: LogprobReader
  /** Whose prompts the slots may still hold. */
  readonly #salts = new Set<string>()
  #arrival: Promise<void> = Promise.resolve()

  constructor(options: SchedulerOptions) {
    this.#options = options
    this.#logprobs = logprobReader(options.pieces)
  }

  async run(message: RunMessage): Promise<void> {
    const job = newJob(message)
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

  cancel(id: number): void {
    const job = this.#jobs.get(id)
    if (job === undefined) return
    this.#stopSequences(job)
    if (job.started) this.#usage(job)
    this.#end(job, { kind: 'cancelled' })
    this.#pump()
  }

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
    const scored = sampling.topLogprobs !== undefined
    if (scored && input.kind === 'text' && input.echo && input.suffix !== undefined) {
      throw new RequestFault('bad_request', 'suffix cannot be combined with echo and logprobs; leave one of them out.')
    }
    for (const prompt of prepared.prompts) {
      if (scored && prompt.echo !== undefined && prompt.tokens.length > this.#options.scorer.tokensMax) {
        throw new RequestFault(
          'context_length',
          `The prompt has ${prompt.tokens.length} tokens; log probabilities of a prompt (echo with logprobs) are found for at most ${this.#options.scorer.tokensMax} here.`,
        )
      }
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
        job.sequences.push(newSequence(job, prompt, index * n + j, j === 0))
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
      if (!this.#keepsApart(sequence)) return
      this.#queue.splice(index, 1)
      if (this.#options.model.vision) this.#salts.add(sequence.job.message.cacheSalt)
      this.#start(sequence)
    }
  }

  /**
   * With images the binding goes on from whatever a slot still holds, which may be another org's. So such a prompt waits until the slots
   * are empty and forgotten, unless all that ran since was its own org's.
   */
  #keepsApart({ prompt, job }: Sequence): boolean {
    if (prompt.images.length === 0) return true
    const { cacheSalt } = job.message
    if ([...this.#salts].every(salt => salt === cacheSalt)) return true
    if (this.#running.size > 0) return false
    if (!this.#options.binding.forget()) {
      // What was cancelled is still in its last step.
      setTimeout(() => this.#pump(), FORGET_RETRY_MS)
      return false
    }
    this.#salts.clear()
    return true
  }

  /** Whether a running prefill will soon save much more of this prompt than is stored: then waiting is cheaper. */
  #waitsForPrefix(sequence: Sequence): boolean {
    const { cache, cacheTokensMin, loadsAlone } = this.#options
    // Where a state cannot be loaded beside its maker, waiting for it would be waiting for the whole answer.
    if (cache === undefined || loadsAlone || sequence.withoutCache || sequence.prompt.images.length > 0) return false
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
    if (!job.started) {
      job.started = true
      this.#options.event(message.id, { type: 'started', inputTokens: job.inputTokens })
    }
    this.#running.add(sequence)
    // Once more without the cache: the echo is out already.
    if (prompt.echo === undefined || sequence.withoutCache) this.#generate(sequence)
    else if (message.sampling.topLogprobs === undefined) this.#echo(sequence, undefined)
    else this.#score(sequence, message.sampling.topLogprobs)
  }

  /** Finds the log probabilities of the prompt, in this choice's slot, before it goes on. */
  #score(sequence: Sequence, alternatives: number): void {
    const { job, prompt } = sequence
    const { text, tokens, added } = prompt
    const salt = job.message.cacheSalt
    sequence.scoring = this.#options.scorer.score({ text, tokens, added, salt, alternatives })
    sequence.scoring.done.then(
      scored => {
        sequence.scoring = undefined
        if (job.over || !this.#running.has(sequence)) {
          scored.release()
          return
        }
        sequence.scored = scored
        if (sequence.first) job.cachedTokens += scored.cachedTokens
        this.#echo(sequence, scored.logprobs)
      },
      error => {
        sequence.scoring = undefined
        if (!(error instanceof Cancelled)) this.#fail(job, error)
      },
    )
  }

  #echo(sequence: Sequence, logprobs: Logprobs): void {
    const { job, prompt, choice } = sequence
    const { echo: content } = prompt
    this.#options.event(job.message.id, {
      ...{ type: 'delta', choice, content, tokens: 0 },
      ...(logprobs === undefined ? {} : { logprobs }),
    })
    this.#generate(sequence)
  }

  #generate(sequence: Sequence): void {
    const { job, prompt } = sequence
    const { message } = job
    const { binding } = this.#options
    // Images have no tokens by which a stored state could be found.
    const cache = prompt.images.length > 0 ? undefined : this.#options.cache
    const prepared = job.prepared as Prepared
    if (message.outputTokensMax <= 0) {
      this.#finish(sequence, 'length')
      return
    }
    const stops = [...message.sampling.stop, ...prepared.stops]
    sequence.reader = answerReader(prepared.shape, stops, this.#options.newCallId)
    if (cache !== undefined && !sequence.withoutCache) {
      const mayLoad = !this.#options.loadsAlone || this.#running.size === 1
      const own = sequence.scored?.statePath
      sequence.hit = mayLoad && own === undefined ? cache.find(message.cacheSalt, prompt.tokens) : undefined
      const covered = sequence.hit?.tokens ?? cache.peek(message.cacheSalt, prompt.tokens)
      sequence.save = cache.begin(message.cacheSalt, prompt.tokens, covered)
    }
    try {
      sequence.requestId = binding.queue(
        {
          prompt: prompt.text,
          ...(prompt.images.length === 0 ? {} : { media_paths: prompt.images }),
          ...prepared.options,
          ...nativeSampling(message.sampling, sequence.choice, prepared.guided),
          n_predict: message.outputTokensMax,
          stop: stops,
          ...(sequence.scored?.statePath === undefined || sequence.withoutCache
            ? {}
            : { load_state_path: sequence.scored.statePath }),
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
      else if (data.token === undefined) {
        await this.#scoreEnd(sequence, data)
        if (!sequence.job.over) this.#result(sequence, data)
      } else {
        const logprob = await this.#logprobs.read(data, sequence.job.message.sampling.topLogprobs as number)
        if (!sequence.job.over) this.#token(sequence, data, logprob === undefined ? undefined : [logprob])
      }
    })
  }

  /**
   * Where a prompt was scored, its list ends with at least one generated token, as OpenAI's does: evaluations cut that one off. So an
   * answer that ended before it began has the token that ended it.
   */
  async #scoreEnd(sequence: Sequence, result: NativeResult): Promise<void> {
    const { job, scored, prompt, choice } = sequence
    const alternatives = job.message.sampling.topLogprobs
    if (scored === undefined || alternatives === undefined || sequence.sent > 0 || !result.stopped_eos) return
    try {
      const logprob = await this.#options.scorer.ending(
        { text: prompt.text, statePath: scored.statePath },
        alternatives,
      )
      if (job.over) return
      this.#options.event(job.message.id, { type: 'delta', choice, logprobs: [logprob], tokens: 0 })
    } catch (error) {
      this.#fail(job, error)
    }
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
    if (sequence.first && sequence.scored === undefined) sequence.job.cachedTokens += result.timings.cache_n
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
    const again = (hit !== undefined || sequence.scored?.statePath !== undefined) && sequence.sent === 0
    if (again && hit !== undefined) this.#options.cache?.drop(hit)
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
    sequence.scoring?.cancel()
    sequence.scored?.release()
    sequence.scoring = undefined
    sequence.scored = undefined
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
    this.#options.event(job.message.id, { type: 'usage', usage: usageOf(job) })
  }

  #end(job: Job, end: AttemptEnd): void {
    job.over = true
    this.#jobs.delete(job.message.id)
    this.#options.end(job.message.id, end)
  }
}
