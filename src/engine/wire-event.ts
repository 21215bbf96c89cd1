import type { InferenceEvent, TokenLogprob } from '../inference/event.ts'

type Embedding = Extract<InferenceEvent, { type: 'embedding' }>
type Delta = Extract<InferenceEvent, { type: 'delta' }>

/**
 * An event on its way from the child, which talks JSON: the bytes of a vector as base64, a quarter of what its numbers take in digits,
 * and no number that JSON lacks.
 */
export type WireEvent =
  | Exclude<InferenceEvent, Embedding>
  | { readonly type: 'embedding'; readonly index: number; readonly base64: string }

/** Makes an event ready for the channel. */
export function toWire(event: InferenceEvent): WireEvent {
  if (event.type !== 'embedding') return event
  const { buffer, byteOffset, byteLength } = event.vector
  return {
    type: 'embedding',
    index: event.index,
    base64: Buffer.from(buffer, byteOffset, byteLength).toString('base64'),
  }
}

/** Restores an event that came through the channel. */
export function fromWire(event: WireEvent): InferenceEvent {
  if (event.type === 'embedding') {
    const bytes = Buffer.from(event.base64, 'base64')
    // A copy: what Node decodes into may lie at any offset of a shared pool, and floats need one that is a multiple of four.
    return { type: 'embedding', index: event.index, vector: new Float32Array(new Uint8Array(bytes).buffer) }
  }
  if (event.type === 'delta' && event.logprobs?.some(unknown)) {
    return {
      ...event,
      logprobs: event.logprobs.map(one => (unknown(one) ? { ...one, logprob: Number.NaN } : one)),
    } satisfies Delta
  }
  return event
}

/** A log probability that is not known (NaN, of the first token of a prompt) is null in JSON. */
function unknown({ logprob }: TokenLogprob): boolean {
  return (logprob as number | null) === null
}
