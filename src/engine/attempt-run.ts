import type { AttemptEnd, InferenceEvent } from '../inference/event.ts'
import type { AttemptSink } from '../inference/upstream.ts'

/**
 * Bytes of events that may wait for a paused client. llama.cpp cannot stop in the middle of a batch of other people's
 * sequences, so generation goes on and its output is kept; a whole context of text is well below this. Beyond it the
 * attempt is given up.
 */
export const PAUSED_BYTES_MAX = 4 * 2 ** 20

/** Delivers what happens to one attempt to its sink, exactly one end last, and keeps it back while paused. */
export class AttemptRun {
  readonly #sink: AttemptSink
  readonly #giveUp: () => void
  #waiting: InferenceEvent[] = []
  #waitingBytes = 0
  #end: AttemptEnd | undefined
  #paused = false
  #over = false
  #cancelled = false
  #overflowed = false
  started = false

  /** `giveUp` stops the work when a paused client lets too much pile up. */
  constructor(sink: AttemptSink, giveUp: () => void) {
    this.#sink = sink
    this.#giveUp = giveUp
  }

  /** True once the sink was told the end, or will be as soon as it resumes. */
  get over(): boolean {
    return this.#over || this.#end !== undefined
  }

  event(event: InferenceEvent): void {
    if (this.over) return
    if (event.type === 'started') this.started = true
    if (!this.#paused) {
      this.#sink.onEvent(event)
      return
    }
    this.#waiting.push(event)
    this.#waitingBytes += sizeOf(event)
    if (this.#waitingBytes > PAUSED_BYTES_MAX && !this.#overflowed) {
      this.#overflowed = true
      this.#giveUp()
    }
  }

  end(end: AttemptEnd): void {
    if (this.over) return
    this.#end = this.#overflowed && end.kind === 'cancelled' ? tooSlow() : end
    if (!this.#paused) this.#drain()
  }

  pause(): void {
    if (!this.#over && !this.#cancelled) this.#paused = true
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#drain()
  }

  /** Nobody reads any more: what waits is dropped, except the usage. */
  cancel(): void {
    if (this.#over) return
    this.#cancelled = true
    this.#waiting = this.#waiting.filter(event => event.type === 'started' || event.type === 'usage')
    if (this.#end?.kind === 'completed') this.#end = { kind: 'cancelled' }
    this.#overflowed = false
    this.#paused = false
    this.#drain()
  }

  #drain(): void {
    const waiting = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    for (const [index, event] of waiting.entries()) {
      this.#sink.onEvent(event)
      // The sink may pause again in the middle.
      if (this.#paused) {
        this.#waiting = [...waiting.slice(index + 1), ...this.#waiting]
        this.#waitingBytes = this.#waiting.reduce((sum, one) => sum + sizeOf(one), 0)
        return
      }
    }
    if (this.#end !== undefined && !this.#over) {
      this.#over = true
      this.#sink.onEnd(this.#end)
    }
  }
}

function tooSlow(): AttemptEnd {
  const message = `The client read too slowly: more than ${PAUSED_BYTES_MAX} bytes of the answer were waiting.`
  return { kind: 'failed', failure: { reason: 'timeout', message, retryable: false } }
}

/** About how many bytes of memory an event holds. */
function sizeOf(event: InferenceEvent): number {
  if (event.type === 'embedding') return 64 + event.vector.byteLength
  if (event.type !== 'delta') return 64
  const logprobs = event.logprobs?.reduce((sum, one) => sum + 96 + 96 * one.top.length, 0) ?? 0
  const calls = event.toolCalls?.reduce((sum, call) => sum + 64 + call.arguments.length, 0) ?? 0
  return 64 + (event.content?.length ?? 0) + (event.reasoning?.length ?? 0) + logprobs + calls
}
