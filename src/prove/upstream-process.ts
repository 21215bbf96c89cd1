/**
 * The upstream of a proof: a process that can be killed, around the simulated engine. Requests say themselves how they are to break off, so
 * that it depends on the seed and not on the order in which they come. Begins with `{"port":...}`, then writes a line for each
 * answer that it broke off.
 */
import type { AddressInfo } from 'node:net'
import type { InferenceRequest } from '../inference/request.ts'
import { createSimServer } from '../simulation/sim-server.ts'
import { UPSTREAM_FAULTS, type UpstreamFault } from '../simulation/simulated-attempt.ts'
import { isObject } from '../wire/json-object.ts'
import { TOKENS_PER_FRAME } from './plan.ts'

/** What it is started with, as JSON in its only argument. */
export interface UpstreamOptions {
  /** 0 for any free one. */
  readonly port: number
  readonly seed: number
  /** Answers at a time. */
  readonly slots: number
}

/** A token of an answer that is alone, and what each further answer adds: a real engine's shape, at some thirty times its speed. */
const TOKEN_MS = 1
const TOKEN_MS_PER_SEQUENCE = 0.01
const PREFILL_TOKENS_PER_MS = 500
const CACHE_TOKENS_MAX = 1_000_000
const ANSWER_TOKENS = 16

const { port, seed, slots }: UpstreamOptions = JSON.parse(process.argv[2] as string)
const server = createSimServer({
  tokensPerSecond: 1000 / TOKEN_MS,
  answerTokens: ANSWER_TOKENS,
  cacheTokensMax: CACHE_TOKENS_MAX,
  slots,
  faultRate: 0,
  seed,
  engine: {
    prefillTokensPerMs: PREFILL_TOKENS_PER_MS,
    tokenMsPerSequence: TOKEN_MS_PER_SEQUENCE,
    tokensPerStep: TOKENS_PER_FRAME,
  },
  faultOf,
  onEnded({ fault, cancelled }) {
    // A client that left first had its answer stopped, not broken off.
    if (fault !== null && !cancelled) process.stdout.write(`${fault}\n`)
  },
})
server.listen(port, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`)
})

function faultOf({ body }: InferenceRequest): UpstreamFault | null {
  const fault = isObject(body.simulate) ? body.simulate.fault : undefined
  return UPSTREAM_FAULTS.find(each => each === fault) ?? null
}
