import type { OutgoingHttpHeaders } from 'node:http'
import type { InferenceRequest } from '../inference/request.ts'
import type { ServiceTier } from '../inference/service-tier.ts'
import type { Ending } from '../ledger/journal.ts'
import type { KeptDocument } from '../ledger/kept-document.ts'
import type { StoredAnswer } from '../ledger/stored-answer.ts'
import type { AnswerTotals } from '../protocols/protocol.ts'
import type { Clock } from '../std/clock.ts'
import { nanodollarsToDecimal } from '../wire/decimal.ts'
import type { ClientPort } from './client-port.ts'
import type { Run } from './run.ts'

const STREAM_HEADERS: OutgoingHttpHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  'x-accel-buffering': 'no',
}
const BUFFERED_HEADERS: OutgoingHttpHeaders = { 'content-type': 'application/json' }

const OUT_OF_MONEY = 'The answer was cut short: no more credit could be held for it.'
const NOT_STORED =
  'The answer was too long to be stored for its Idempotency-Key: a repetition would run, and be charged, again.'

/** What is left to tell of an answer that is whole, made before its settlement and told after it. */
export interface WholeAnswer {
  /** For a client that has no head yet. */
  readonly headers: OutgoingHttpHeaders
  readonly last: Uint8Array
  /** The answer as a repetition of the request will get it. */
  readonly stored: StoredAnswer | undefined
  /** What of it is kept beside. */
  readonly documents: readonly KeptDocument[] | undefined
}

/** The headers of an answer, with those that say in which form it comes. */
export function headOf({ stream }: InferenceRequest, headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  return stream ? { ...STREAM_HEADERS, ...headers } : { ...BUFFERED_HEADERS, ...headers }
}

/** Whether a client gets an answer rather than an error. */
export function isWhole(ending: Ending): boolean {
  return ending === 'completed' || ending === 'exhausted' || ending === 'empty'
}

/** Makes what is left to tell, and to store, of an answer; what it says in headers is added to `headers`. */
export function wholeAnswer(
  run: Run,
  ending: Ending,
  totals: AnswerTotals,
  tier: ServiceTier,
  client: ClientPort,
  headers: OutgoingHttpHeaders,
  clock: Clock,
): WholeAnswer {
  const nowMs = clock.nowMs()
  const { relay, request, once } = run
  const { tail } = relay
  // Of a stream the length is known but for its last frame, in which the client has to be told.
  const streamTooLong = request.stream && once !== null && !once.fits(lengthOf(tail))
  const end = relay.encoder.complete({
    ...totals,
    serviceTier: request.serviceTier === undefined ? undefined : tier,
    usageExtra: relay.usageExtra,
    notice: noticeOf(ending === 'exhausted', streamTooLong),
    completedMs: nowMs,
    durationMs: clock.monotonicMs() - run.receivedMs,
  })
  const last = tail.length === 0 ? end : Buffer.concat([...tail, end])
  const tooLong = request.stream ? streamTooLong : once !== null && !once.fits(last.length)
  const documents = documentsOf(run, last, nowMs)
  if (client.headSent && once === null) return { headers, last, stored: undefined, documents }
  headers['x-headrace-ending'] = ending
  if (tooLong) headers['x-headrace-idempotency'] = 'not stored'
  if (!request.stream) {
    headers['x-headrace-cost'] = nanodollarsToDecimal(totals.chargeNanodollars)
    headers['content-length'] = last.length
  }
  const head = headOf(request, headers)
  const stored = tooLong ? undefined : once?.answer(request.id, head, last, nowMs)
  return { headers: head, last, stored, documents }
}

function documentsOf({ relay, keep, caller }: Run, last: Uint8Array, nowMs: number): KeptDocument[] | undefined {
  if (keep === undefined && relay.encoder.kept === undefined) return undefined
  const owner = { orgId: caller.org.id, keyId: caller.key.id, nowMs }
  return [...(relay.encoder.kept?.(owner) ?? []), ...(keep?.(last, owner) ?? [])]
}

function noticeOf(outOfMoney: boolean, notStored: boolean): string | undefined {
  if (outOfMoney) return notStored ? `${OUT_OF_MONEY} ${NOT_STORED}` : OUT_OF_MONEY
  return notStored ? NOT_STORED : undefined
}

function lengthOf(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((bytes, chunk) => bytes + chunk.length, 0)
}
