import type { Sampling } from '../inference/request.ts'
import type { NativeOptions } from './binding.ts'
import { RequestFault } from './fault.ts'

/**
 * What llama.cpp uses when nothing is said. They suit small models better than OpenAI's (temperature 1, no truncation),
 * and a client that says something gets exactly that.
 */
const DEFAULTS = { temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05 }

/** Log probabilities are taken from the distribution that a token is drawn from, so it is cut as little as can be paid for. */
const LOGPROB_TOP_K = 200

/** Stops no model that can still write: text without a NUL, then a NUL. The binding itself ignores `ignore_eos`. */
const ENDLESS_GRAMMAR = 'root ::= [^\\x00]* [\\x00]'

/**
 * Maps sampling options to the binding's. `choice` keeps the choices of one seed apart, and still repeatable.
 * Throws `RequestFault` for what the binding cannot do.
 */
export function nativeSampling(sampling: Sampling, choice: number, guided: boolean): NativeOptions {
  if (sampling.logitBias !== undefined && Object.keys(sampling.logitBias).length > 0) {
    // The binding writes biases past the end of an empty vector, which corrupts the heap of the process.
    throw new RequestFault('bad_request', 'logit_bias is not supported by the embedded engine; leave it out.')
  }
  if (sampling.repetitionPenalty !== undefined && !(sampling.repetitionPenalty > 0)) {
    // Thrown in a native thread, where it would end the process.
    throw new RequestFault('bad_request', 'repetition_penalty must be greater than 0.')
  }
  if (sampling.ignoreEos === true && guided) {
    throw new RequestFault(
      'bad_request',
      'ignore_eos cannot be combined with a response format or a forced tool call; leave one of them out.',
    )
  }
  const logprobs = sampling.topLogprobs !== undefined
  const options: NativeOptions = {
    temperature: sampling.temperature ?? (logprobs ? 1 : DEFAULTS.temperature),
    top_p: sampling.topP ?? (logprobs ? 1 : DEFAULTS.topP),
    min_p: sampling.minP ?? (logprobs ? 0 : DEFAULTS.minP),
    top_k: sampling.topK ?? (logprobs ? LOGPROB_TOP_K : DEFAULTS.topK),
    penalty_freq: sampling.frequencyPenalty ?? 0,
    penalty_present: sampling.presencePenalty ?? 0,
    penalty_repeat: sampling.repetitionPenalty ?? 1,
    // The binding's own defaults have XTC's two numbers swapped, which makes one token in ten the least likely one of
    // all, also at temperature 0; and a DRY penalty that is only off by accident.
    xtc_probability: 0,
    dry_multiplier: 0,
  }
  if (logprobs) {
    // As many candidates as can be drawn, so that the drawn one is always among them. -1 and 0 mean all.
    const topK = options.top_k as number
    options.top_k = topK <= 0 || topK > LOGPROB_TOP_K ? LOGPROB_TOP_K : topK
    options.n_probs = options.top_k
  }
  if (sampling.seed !== undefined) options.seed = foldSeed(sampling.seed, choice)
  if (sampling.ignoreEos === true) options.grammar = ENDLESS_GRAMMAR
  return options
}

/** Any integer to one of the 2^31 seeds that the binding reads as such; neighbours stay apart. */
export function foldSeed(seed: number, choice: number): number {
  const low = seed % 0x7fffffff
  return (((low < 0 ? low + 0x7fffffff : low) + choice) % 0x7fffffff) >>> 0
}
