import type { TokenLogprob } from '../inference/event.ts'
import type { Binding, NativeOptions, NativeResult, NativeToken } from './binding.ts'
import { RequestFault } from './fault.ts'
import { LogprobMemo, type ScoredToken } from './logprob-memo.ts'
import type { TokenPieces } from './logprobs.ts'
import type { PromptCache } from './prompt-cache.ts'
import { textOfTokens } from './token-text.ts'

/** Longest prompt whose log probabilities can be had, tokens: each costs a step of its own. */
export const SCORED_TOKENS_MAX = 2_048
/** The same where no saved state can be cut back, and every step reads the prompt from its beginning. */
export const SCORED_TOKENS_MAX_WITHOUT_STATES = 256

/** Most alternatives that are remembered of one place; as many as a request may ask for. */
const ALTERNATIVES_MAX = 20
/** Candidates that a step reports first: as quick as one, and few tokens of real text lie beyond. */
const CANDIDATES_FEW = 4_096
const CANDIDATES_ALL = 2 ** 24
/** At this temperature the end of the answer is never drawn for being certain, and no probability is too small for 32 bits. */
const HOT = 16

/** The model's own distribution: nothing is cut off or weighed. */
const WHOLE_DISTRIBUTION: NativeOptions = {
  n_predict: 1,
  temperature: 1,
  top_k: 0,
  top_p: 1,
  min_p: 0,
  penalty_freq: 0,
  penalty_present: 0,
  penalty_repeat: 1,
  xtc_probability: 0,
  dry_multiplier: 0,
  seed: 1,
}

/** A prompt to score. */
export interface ScoreRequest {
  readonly text: string
  readonly tokens: Int32Array
  /** Tokens at the beginning that the engine added; they are left out of the result. */
  readonly added: number
  readonly salt: string
  readonly alternatives: number
}

/** What came of it. */
export interface ScoredPrompt {
  /** One for each token of the client's prompt; NaN for the first, and where it cannot be known. */
  readonly logprobs: readonly TokenLogprob[]
  /** Leading tokens for which nothing had to be done. */
  readonly cachedTokens: number
  /** State of the prompt without its last token, to go on from until `release`. */
  readonly statePath: string | undefined
  release(): void
}

/** A scoring on its way. */
export interface Scoring {
  /** Rejects with `RequestFault`, with what the binding threw, or with `Cancelled`. */
  readonly done: Promise<ScoredPrompt>
  cancel(): void
}

/** The scoring was cancelled; nobody is to be told. */
export class Cancelled extends Error {
  override name = 'Cancelled'
}

/** What a scorer works with. */
export interface PromptScorerOptions {
  readonly binding: Binding
  readonly cache: PromptCache | undefined
  /** Whether saved states may be loaded beside other running sequences, and cut back. */
  readonly rewinds: boolean
  readonly pieces: TokenPieces
  /** Tokens that end an answer. */
  readonly endTokens: readonly number[]
}

/**
 * Finds the log probabilities of a prompt's own tokens. The binding reports distributions of generated tokens only, so each place is
 * made the end of a prompt: the state of the whole prompt is saved once, cut back to the place, and one token is drawn there, whose
 * distribution is what counts. A step costs about as much as one token of an answer.
 */
export class PromptScorer {
  readonly #options: PromptScorerOptions
  readonly #memo = new LogprobMemo()

  constructor(options: PromptScorerOptions) {
    this.#options = options
  }

  /** Longest prompt that is scored, tokens. */
  get tokensMax(): number {
    const { rewinds, cache } = this.#options
    return rewinds && cache !== undefined ? SCORED_TOKENS_MAX : SCORED_TOKENS_MAX_WITHOUT_STATES
  }

  score(request: ScoreRequest): Scoring {
    const step = new Step(this.#options.binding)
    return { done: this.#score(request, step), cancel: () => step.cancel() }
  }

  async #score(request: ScoreRequest, step: Step): Promise<ScoredPrompt> {
    const { tokens, salt, added, alternatives } = request
    const keys = this.#memo.keys(salt, tokens)
    const scored = new Map<number, ScoredToken>()
    const missing: number[] = []
    // The first token of the client's has no log probability, as on OpenAI's wire.
    for (let place = added + 1; place < tokens.length; place++) {
      const known = this.#memo.get(keys[place] as string)
      if (known === undefined) missing.push(place)
      else scored.set(place, known)
    }
    const state = missing.length > 1 ? await this.#saveState(request, step) : undefined
    try {
      for (const place of missing) {
        const prefix = await textOfTokens(this.#options.binding, tokens.subarray(0, place), request.text)
        // Text ends between characters, and this prefix does not: its continuation cannot be asked for.
        if (prefix === undefined) continue
        const found = await this.#at(prefix, tokens[place] as number, place, state?.path, step)
        this.#memo.set(keys[place] as string, found)
        scored.set(place, found)
      }
      const logprobs: TokenLogprob[] = []
      for (let place = added; place < tokens.length; place++) {
        logprobs.push(await this.#entry(tokens[place] as number, scored.get(place), alternatives))
      }
      return {
        logprobs,
        cachedTokens: (missing[0] ?? tokens.length) - 1,
        statePath: state?.path,
        release: () => state?.release(),
      }
    } catch (error) {
      state?.release()
      throw error
    }
  }

  /** The end of an answer that has no token: the likeliest of those that end one, with its probability behind the prompt. */
  async ending(prompt: { text: string; statePath: string | undefined }, alternatives: number): Promise<TokenLogprob> {
    const all = await this.#hot({ prompt: prompt.text, ...loading(prompt.statePath) }, new Step(this.#options.binding))
    const ends = new Set(this.#options.endTokens)
    const [id, logprob] = all.find(([candidate]) => ends.has(candidate)) ?? [
      this.#options.endTokens[0] ?? 0,
      Number.NaN,
    ]
    return this.#entry(id, { logprob, top: all.slice(0, alternatives) }, alternatives)
  }

  /** Reads the prompt once and keeps its state in a file; undefined where states cannot be used or there is no room. */
  async #saveState(
    { text, tokens, salt }: ScoreRequest,
    step: Step,
  ): Promise<{ path: string; release(): void } | undefined> {
    const { cache, rewinds } = this.#options
    if (cache === undefined || !rewinds) return undefined
    const file = cache.scratch(salt, tokens)
    if (file === undefined) return undefined
    const release = (): void => cache.discard(file)
    const hit = cache.find(salt, tokens)
    try {
      const cut = hit !== undefined && hit.tokens < hit.storedTokens ? hit.tokens : undefined
      const { evaluated } = await step.run({
        ...WHOLE_DISTRIBUTION,
        prompt: text,
        ...loading(hit?.path, cut),
        save_prompt_state_path: file.path,
      })
      if (evaluated) return { path: file.path, release }
      if (hit !== undefined) cache.drop(hit)
    } catch (error) {
      release()
      throw error
    } finally {
      if (hit !== undefined) cache.release(hit)
    }
    // The state that it was to begin from could not be loaded.
    release()
    return undefined
  }

  /** What stands at `place` behind a prefix, and the likeliest beside it. */
  async #at(
    prefix: string,
    token: number,
    place: number,
    statePath: string | undefined,
    step: Step,
  ): Promise<ScoredToken> {
    const options: NativeOptions = { prompt: prefix, ...loading(statePath, place) }
    const { probs } = await step.run({ ...WHOLE_DISTRIBUTION, ...options, n_probs: CANDIDATES_FEW })
    const few = probs?.map(({ tok, prob }): [number, number] => [tok, Math.log(prob)])
    const known = few?.some(([id, logprob]) => id === token && logprob !== Number.NEGATIVE_INFINITY)
    const all = few !== undefined && known ? few : await this.#hot(options, step)
    const logprob = all.find(([id]) => id === token)?.[1]
    if (logprob === undefined) throw new RequestFault('internal', 'The engine could not process the prompt.')
    return { logprob, top: all.slice(0, ALTERNATIVES_MAX) }
  }

  /**
   * All of the vocabulary, most likely first. When the drawn token ends the answer, the binding reports nothing; so it is drawn at a
   * temperature at which that is all but impossible, and the probabilities are brought back to those at 1.
   */
  async #hot(options: NativeOptions, step: Step): Promise<[number, number][]> {
    for (let seed = 1; seed <= HOT_TRIES_MAX; seed++) {
      const { probs } = await step.run({
        ...WHOLE_DISTRIBUTION,
        ...options,
        temperature: HOT,
        seed,
        n_probs: CANDIDATES_ALL,
      })
      if (probs === undefined) continue
      const logits = probs.map(({ tok, prob }): [number, number] => [tok, HOT * Math.log(prob)])
      const most = logits[0]?.[1] ?? 0
      const total = most + Math.log(logits.reduce((sum, [, logit]) => sum + Math.exp(logit - most), 0))
      return logits.map(([id, logit]) => [id, logit - total])
    }
    throw new RequestFault('internal', 'The engine could not process the prompt.')
  }

  async #entry(id: number, scored: ScoredToken | undefined, alternatives: number): Promise<TokenLogprob> {
    const { pieces } = this.#options
    const top = []
    for (const [other, logprob] of scored?.top.slice(0, alternatives) ?? [])
      top.push(await pieces.entry(other, logprob))
    return { ...(await pieces.entry(id, scored?.logprob ?? Number.NaN)), top }
  }
}

/** An end that is drawn so often even then would be a tenth of a hot distribution: it is not. */
const HOT_TRIES_MAX = 8

function loading(path: string | undefined, tokens?: number): NativeOptions {
  if (path === undefined) return {}
  return { load_state_path: path, ...(tokens === undefined ? {} : { load_state_size: tokens }) }
}

/** Runs one short completion after another, until it is cancelled. */
class Step {
  readonly #binding: Binding
  #requestId: number | undefined
  #reject: ((error: Error) => void) | undefined
  #cancelled = false

  constructor(binding: Binding) {
    this.#binding = binding
  }

  /** The distribution of the one token drawn; undefined when it ended the answer. */
  run(options: NativeOptions): Promise<{ probs: NativeToken['probs']; evaluated: boolean }> {
    if (this.#cancelled) return Promise.reject(new Cancelled())
    const { promise, resolve, reject } = Promise.withResolvers<{ probs: NativeToken['probs']; evaluated: boolean }>()
    this.#reject = reject
    let probs: NativeToken['probs']
    this.#requestId = this.#binding.queue(options, (error, data) => {
      if (error) reject(error as Error)
      else if (data.token !== undefined) probs = data.probs
      else resolve({ probs, evaluated: ended(data) })
    })
    return promise
  }

  cancel(): void {
    this.#cancelled = true
    if (this.#requestId !== undefined) this.#binding.cancel(this.#requestId)
    this.#reject?.(new Cancelled())
  }
}

/** Whether a completion came to an end of its own; where a state could not be loaded it did not. */
function ended(result: NativeResult): boolean {
  return result.stopped_eos || result.stopped_limit || result.stopped_word || result.context_full
}
