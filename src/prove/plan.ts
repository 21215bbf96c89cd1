import { hashText, Rng } from '../simulation/rng.ts'
import type { UpstreamFault } from '../simulation/simulated-attempt.ts'
import { promptTokens } from '../simulation/simulated-engine.ts'
import { worthNanodollars } from './price.ts'

/** How large a proof is, and how rough. */
export interface ProofSize {
  readonly clients: number
  readonly requests: number
  /** Share of requests whose client leaves before its answer is whole, 0 to 1. */
  readonly abortShare: number
  /** Share of requests whose upstream breaks off, 0 to 1. */
  readonly deathShare: number
  /** How often the server's process is killed. */
  readonly kills: number
  /** Fixes everything but time. */
  readonly seed: number
}

/** When a client leaves. */
export type Abort =
  | { readonly when: 'before_first_byte'; readonly afterMs: number }
  /** After so many frames of output; only while streaming. */
  | { readonly when: 'mid_stream' | 'near_the_end'; readonly afterFrames: number }

/** One request, as it will be sent. */
export interface RequestPlan {
  readonly stream: boolean
  /** Streamed usage was asked for; buffered answers always have it. */
  readonly includeUsage: boolean
  readonly prompt: string
  readonly maxTokens: number
  readonly choices: number
  readonly abort: Abort | null
  /** How the upstream is told to break off; null: it answers well. */
  readonly death: UpstreamFault | null
}

/** Tokens in one frame of the simulated upstream. */
export const TOKENS_PER_FRAME = 4

/** Ways to break off: before the first token, after some, with one of several choices whole, and with all text but no end. */
const DEATHS = [
  'dies_before_first_token',
  'dies_mid_stream',
  'finishes_one_choice_then_dies',
  'ends_unfinished',
] as const satisfies readonly UpstreamFault[]

const OUTPUT_TOKENS_MAX = 120
const SHORT_TOKENS_MAX = 8
const CHOICES_MAX = 3
const PREFIXES = 8
const PREFIX_CHARS = 512
const TAIL_WORDS_MAX = 60
const EARLY_ABORT_MS_MAX = 60
/** Of what the whole run would cost, which share the cap is: it binds a little later, since some requests cost nothing in the end. */
const CAP_SHARE_PERCENT = 77n
const KILL_DELAY_MS_MAX = 60
const REQUESTS_MIN = 100
/** Kills come before so much of the run is over. */
const BEFORE_CAP_SHARE = 0.75
/** However many requests the kills take with them, this share at least is expected to be charged. */
const CHARGED_SHARE_MIN = 0.2

/** The request of an index, the same for the same seed whatever came before it. */
export function planRequest({ seed, abortShare, deathShare }: ProofSize, index: number): RequestPlan {
  const rng = new Rng(hashText(`request ${index}`, seed))
  const stream = rng.chance(0.75)
  const includeUsage = !stream || rng.chance(0.8)
  const prompt = promptText(rng.int(0, PREFIXES - 1), rng.int(0, TAIL_WORDS_MAX), index, seed)
  const short = rng.chance(0.15)
  let maxTokens = short ? rng.int(1, SHORT_TOKENS_MAX) : rng.int(SHORT_TOKENS_MAX, OUTPUT_TOKENS_MAX)
  let choices = rng.chance(0.85) ? 1 : rng.int(2, CHOICES_MAX)
  const death = rng.chance(deathShare) ? rng.pick(DEATHS) : null
  // What is over within one frame cannot break off in its middle, and one choice cannot end before another.
  if (death !== null) maxTokens += TOKENS_PER_FRAME
  if (death === 'finishes_one_choice_then_dies') choices = Math.max(choices, 2)
  const abort = rng.chance(abortShare) ? planAbort(rng, stream, frames(maxTokens) * choices) : null
  return { stream, includeUsage, prompt, maxTokens, choices, abort, death }
}

function planAbort(rng: Rng, stream: boolean, outputFrames: number): Abort {
  const when = rng.pick(['before_first_byte', 'mid_stream', 'near_the_end'] as const)
  const afterMs = rng.int(0, EARLY_ABORT_MS_MAX)
  const middle = rng.int(1, Math.max(1, outputFrames - 1))
  // A buffered answer has no middle that its client could see.
  if (when === 'before_first_byte' || !stream) return { when: 'before_first_byte', afterMs }
  return { when, afterFrames: when === 'mid_stream' ? middle : outputFrames }
}

function frames(tokens: number): number {
  return Math.ceil(tokens / TOKENS_PER_FRAME)
}

/** A shared beginning, so that the upstream has something to cache, and an end of its own. */
function promptText(prefix: number, words: number, index: number, seed: number): string {
  let text = word(`prefix ${prefix}`, seed).repeat(PREFIX_CHARS / 8)
  for (let i = 0; i < words; i++) text += word(`${index} ${i}`, seed)
  return text
}

/** Eight characters. */
function word(name: string, seed: number): string {
  return `${hashText(name, seed).toString(36).padStart(7, '0').slice(-7)} `
}

/** After how many requests have begun the server is killed, in order; spread over the time before the cap binds. */
export function planKills({ seed, kills, requests }: ProofSize): number[] {
  const rng = new Rng(hashText('kills', seed))
  const spanRequests = (requests * 0.75) / Math.max(1, kills)
  return Array.from({ length: kills }, (_, i) =>
    Math.max(1, Math.floor((i + 0.3 + rng.int(0, 60) / 100) * spanRequests)),
  )
}

/** After how many requests the upstream's process is killed, between two kills of the server; null when upstreams do not die. */
export function planUpstreamKill({ deathShare, requests, kills }: ProofSize): number | null {
  return deathShare === 0 ? null : atRequest(0.85, requests, kills)
}

/** The time until the cap binds, cut into a span for each kill. */
function atRequest(span: number, requests: number, kills: number): number {
  return Math.max(1, Math.floor((span * requests * BEFORE_CAP_SHARE) / Math.max(1, kills)))
}

/** How long after such a point a process is killed: by then the requests that it counts are on the wire, each somewhere else in its life. */
export function killDelayMs({ seed }: ProofSize, kill: number): number {
  return new Rng(hashText(`kill ${kill}`, seed)).int(1, KILL_DELAY_MS_MAX)
}

/** The fewest requests that show anything: each kill takes as many with it as there are clients, and most have to be left. */
export function requestsMin({ clients, kills }: Pick<ProofSize, 'clients' | 'kills'>): number {
  return Math.max(REQUESTS_MIN, 4 * clients * (kills + 1))
}

/** A cap that binds when about four fifths of the run are over, nanodollars, above zero. */
export function planCapNanodollars(size: ProofSize): bigint {
  let sum = 0n
  for (let i = 0; i < size.requests; i++) sum += expectedNanodollars(planRequest(size, i))
  // Each kill, and that of the upstream, takes as many requests with it as run at that moment.
  const lost = ((size.kills + (size.deathShare > 0 ? 1 : 0)) * size.clients) / size.requests
  const permille = BigInt(Math.floor(1000 * Math.max(CHARGED_SHARE_MIN, 1 - lost)))
  const cap = (sum * CAP_SHARE_PERCENT * permille) / 100_000n
  return cap > 0n ? cap : 1n
}

/** What a request will be charged, if nothing but its plan happens to it. A guess, for the cap alone. */
function expectedNanodollars({ stream, prompt, maxTokens, choices, abort, death }: RequestPlan): bigint {
  if (death === 'dies_before_first_token' || (death !== null && !stream)) return 0n
  const input = promptTokens(prompt)
  const all = maxTokens * choices
  const output = death === null || death === 'ends_unfinished' ? all : Math.min(all, TOKENS_PER_FRAME * choices)
  const seen = abort === null ? output : abort.when === 'before_first_byte' ? 0 : abort.afterFrames * TOKENS_PER_FRAME
  return worthNanodollars({ input, cached: PREFIX_CHARS / 4, output: Math.min(output, seen) })
}
