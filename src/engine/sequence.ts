import type { Usage } from '../inference/usage.ts'
import type { AnswerReader } from './answer.ts'
import type { RunMessage } from './messages.ts'
import type { Prepared, PreparedPrompt } from './prompt.ts'
import type { CacheHit, PendingSave } from './prompt-cache.ts'
import type { ScoredPrompt, Scoring } from './prompt-scorer.ts'

/** One attempt with its choices. */
export interface Job {
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
export interface Sequence {
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
  /** The log probabilities of the prompt, on their way or found. */
  scoring: Scoring | undefined
  scored: ScoredPrompt | undefined
  withoutCache: boolean
}

/** An attempt that nothing is known of yet. */
export function newJob(message: RunMessage): Job {
  return {
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
}

/** A choice that waits for a slot. */
export function newSequence(job: Job, prompt: PreparedPrompt, choice: number, first: boolean): Sequence {
  return {
    job,
    prompt,
    choice,
    first,
    requestId: undefined,
    reader: undefined,
    hit: undefined,
    save: undefined,
    sent: 0,
    tail: undefined,
    scoring: undefined,
    scored: undefined,
    withoutCache: false,
  }
}

/** What an attempt has taken so far. */
export function usageOf(job: Job): Usage {
  return {
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
  }
}
