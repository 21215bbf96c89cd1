import type { AttemptEnd, InferenceEvent } from '../inference/event.ts'
import type { RunMessage } from './messages.ts'

/** Works through attempts on the binding's slots, first come, first served. */
export interface Runner {
  /** Takes an attempt; its events and its one end are told to the reporter. */
  run(message: RunMessage): Promise<void>
  /** Stops an attempt at once; its usage and its end are reported before this returns. */
  cancel(id: number): void
  /** Exact input tokens of a request. Throws `RequestFault` for what cannot be run. */
  count(input: RunMessage['input']): Promise<number>
}

/** Whom a runner tells what happens to an attempt. */
export interface Reporter {
  readonly event: (id: number, event: InferenceEvent) => void
  readonly end: (id: number, end: AttemptEnd) => void
}
