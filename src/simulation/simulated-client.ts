import type { OutgoingHttpHeaders } from 'node:http'
import type { Clock } from '../std/clock.ts'
import type { Transcript } from './transcript.ts'

/** What a client does besides reading. */
export const CLIENT_FAULTS = [
  'leaves_at_some_moment',
  'leaves_after_first_bytes',
  'leaves_while_settling',
  'leaves_before_dispatch',
  'reads_slowly',
  'stops_reading',
  'stops_reading_then_leaves',
] as const

export type ClientFault = (typeof CLIENT_FAULTS)[number]

/** How a client reads. */
export interface SimulatedClientOptions {
  readonly clock: Clock
  readonly transcript: Transcript
  readonly fault: ClientFault | null
  /** When a client that leaves does so, after it asked. */
  readonly leavesAfterMs: number
  /** Speed of a slow reader. */
  readonly bytesPerMs: number
  /** Bytes on the way after which a writer is asked to wait. */
  readonly highWaterBytes: number
}

/**
 * A client on simulated time, from the server's side: it has the methods of the gateway's `ClientPort`. All that is written
 * is read into a transcript at once, also what a slow or leaving client would never see, because what counts for money is
 * what left the server.
 */
export class SimulatedClient {
  readonly transcript: Transcript
  readonly #options: SimulatedClientOptions
  #unreadBytes = 0
  #full = false
  #reading = false
  #dead = false
  gone = false
  onGone: (() => void) | null = null
  onDrain: (() => void) | null = null

  constructor(options: SimulatedClientOptions) {
    this.#options = options
    this.transcript = options.transcript
    const { fault, leavesAfterMs, clock } = options
    if (fault === 'leaves_at_some_moment' || fault === 'stops_reading_then_leaves')
      clock.after(leavesAfterMs, () => this.leave())
    if (fault === 'leaves_before_dispatch') this.gone = true
  }

  get headSent(): boolean {
    return this.transcript.status !== null
  }

  head(status: number, headers: OutgoingHttpHeaders): void {
    if (this.#dead || this.gone) return
    this.transcript.head(status, headers)
  }

  write(bytes: Uint8Array | string): boolean {
    if (this.#dead || this.gone) return true
    this.transcript.body(typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('utf8'))
    const { fault, clock, highWaterBytes } = this.#options
    // A closing connection is noticed by the event loop, never within a write.
    if (fault === 'leaves_after_first_bytes') clock.after(0, () => this.leave())
    if (fault !== 'reads_slowly' && fault !== 'stops_reading' && fault !== 'stops_reading_then_leaves') return true
    this.#unreadBytes += bytes.length
    if (fault === 'reads_slowly') this.#read()
    this.#full ||= this.#unreadBytes > highWaterBytes
    return !this.#full
  }

  end(bytes?: Uint8Array | string): void {
    if (this.#dead || this.gone) return
    if (bytes !== undefined && bytes.length > 0) this.write(bytes)
    this.transcript.end()
  }

  /** The connection closes from the client's side. */
  leave(): void {
    if (this.gone || this.#dead || this.transcript.ended) return
    this.gone = true
    this.onGone?.()
  }

  /** Its request is being settled: a moment at which leaving must not make an answer free. */
  settling(): void {
    if (this.#options.fault === 'leaves_while_settling') this.leave()
  }

  /** The server's process is gone: whatever is left of it cannot write here any more. */
  cut(): void {
    this.#dead = true
    this.gone = true
  }

  // Reads what there is in one go, after the time that takes.
  #read(): void {
    if (this.#reading) return
    this.#reading = true
    const bytes = this.#unreadBytes
    this.#options.clock.after(bytes / this.#options.bytesPerMs, () => {
      this.#reading = false
      this.#unreadBytes -= bytes
      if (this.#unreadBytes > 0) this.#read()
      if (!this.#full || this.#unreadBytes > 0) return
      this.#full = false
      if (!this.gone && !this.#dead) this.onDrain?.()
    })
  }
}
