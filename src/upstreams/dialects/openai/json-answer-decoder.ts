import type { InferenceEvent, UpstreamFailure } from '../../../inference/event.ts'
import type { GenerationInput, JsonObject } from '../../../inference/request.ts'
import { isObject } from '../../../wire/json-object.ts'
import { UsageReader } from '../usage-normaliser.ts'
import { failureOfErrorFrame } from './error-frame.ts'

type Emit = (event: InferenceEvent) => void
type PlainInput = Extract<GenerationInput, { kind: 'embed' | 'rerank' }>

/** Beside what the vectors or scores take. */
const ANSWER_BYTES_BASE = 1024 * 1024
/** One vector of 8,192 numbers at the longest text that a double has. */
const VECTOR_BYTES_MAX = 256 * 1024
/** One score with its document repeated. */
const SCORE_BYTES_MAX = 64 * 1024
const ANSWER_BYTES_MAX = 256 * 1024 * 1024

/**
 * Turns the whole JSON answer of an upstream, embeddings or a rerank, into events. Pure: the same bytes give the same events, however they
 * are cut. Anything but one finite vector or score for each input is a failure of the upstream's, and nothing of it is told.
 */
export class JsonAnswerDecoder {
  readonly #input: PlainInput
  readonly #bytesMax: number
  readonly #chunks: Uint8Array[] = []
  #bytes = 0

  constructor(input: PlainInput) {
    this.#input = input
    const entries =
      input.kind === 'embed' ? input.inputs.length * VECTOR_BYTES_MAX : input.documents.length * SCORE_BYTES_MAX
    this.#bytesMax = Math.min(ANSWER_BYTES_BASE + entries, ANSWER_BYTES_MAX)
  }

  /** Takes the next bytes. A failure ends the attempt; nothing may be pushed after it. */
  push(chunk: Uint8Array): UpstreamFailure | null {
    this.#bytes += chunk.length
    if (this.#bytes > this.#bytesMax)
      return protocolFailure(`The upstream's answer is longer than ${this.#bytesMax} bytes.`)
    this.#chunks.push(chunk)
    return null
  }

  /** The answer is whole. */
  end(emit: Emit): UpstreamFailure | null {
    const answer = parse(Buffer.concat(this.#chunks))
    if (answer === undefined) return protocolFailure('The upstream answered what is no JSON.')
    if (isObject(answer) && answer.error !== undefined && answer.error !== null) return failureOfErrorFrame(answer)
    const events =
      this.#input.kind === 'embed' ? vectors(answer, this.#input.inputs.length) : scores(answer, this.#input)
    if (typeof events === 'string') return protocolFailure(events)
    for (const event of events) emit(event)
    const usage = isObject(answer) ? new UsageReader('openai-input').read(answer) : undefined
    if (usage !== undefined) emit({ type: 'usage', ...usage })
    emit({ type: 'finish', choice: 0, reason: 'stop' })
    return null
  }
}

// One event for each input, or what is wrong. Servers may answer in any order; `index` says which input is meant.
function vectors(answer: unknown, count: number): InferenceEvent[] | string {
  const data = isObject(answer) ? answer.data : undefined
  if (!Array.isArray(data) || data.length !== count)
    return `The upstream answered ${Array.isArray(data) ? data.length : 'no'} vectors to ${count} inputs.`
  const events = new Array<InferenceEvent>(count)
  let dimensions: number | undefined
  for (const [position, entry] of data.entries()) {
    const index = isObject(entry) ? (entry.index ?? position) : undefined
    if (!isFree(index, events)) return 'The upstream answered a vector for an input that is not there, or has one.'
    const vector = readVector((entry as JsonObject).embedding)
    if (vector === undefined) return 'The upstream answered a vector that is no list of finite numbers.'
    dimensions ??= vector.length
    if (vector.length !== dimensions) return 'The upstream answered vectors of different lengths.'
    events[index] = { type: 'embedding', index, vector }
  }
  return events
}

function scores(answer: unknown, input: Extract<PlainInput, { kind: 'rerank' }>): InferenceEvent[] | string {
  const count = input.documents.length
  // Text Embeddings Inference answers the list by itself.
  const results = isObject(answer) ? (answer.results ?? answer.data) : answer
  if (!Array.isArray(results) || results.length !== count)
    return `The upstream answered ${Array.isArray(results) ? results.length : 'no'} scores to ${count} documents.`
  const events = new Array<InferenceEvent>(count)
  for (const entry of results) {
    const index = isObject(entry) ? entry.index : undefined
    if (!isFree(index, events)) return 'The upstream answered a score for a document that is not there, or has one.'
    const { relevance_score, score = relevance_score } = entry as JsonObject
    if (typeof score !== 'number' || !Number.isFinite(score)) return 'The upstream answered a score that is no number.'
    events[index] = { type: 'score', index, score }
  }
  return events
}

function isFree(index: unknown, taken: readonly (InferenceEvent | undefined)[]): index is number {
  return (
    Number.isInteger(index) && (index as number) >= 0 && (index as number) < taken.length && !taken[index as number]
  )
}

/** A list of numbers, or little-endian float32 in base64; undefined for anything else, the empty vector included. */
function readVector(value: unknown): Float32Array | undefined {
  const vector = typeof value === 'string' ? fromBase64(value) : fromNumbers(value)
  if (vector === undefined || vector.length === 0) return undefined
  for (const each of vector) if (!Number.isFinite(each)) return undefined
  return vector
}

function fromBase64(text: string): Float32Array | undefined {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length % 4 !== 0 || bytes.length !== Math.floor((text.replace(/=+$/, '').length * 3) / 4)) return undefined
  const vector = new Float32Array(bytes.length / 4)
  for (let i = 0; i < vector.length; i++) vector[i] = bytes.readFloatLE(i * 4)
  return vector
}

function fromNumbers(value: unknown): Float32Array | undefined {
  if (!Array.isArray(value) || !value.every(each => typeof each === 'number')) return undefined
  return Float32Array.from(value)
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}

function protocolFailure(message: string): UpstreamFailure {
  return { reason: 'protocol', message, retryable: true }
}
