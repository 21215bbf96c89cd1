import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'

/**
 * The client's side of one exchange, as the pipeline sees it: a place to write to, that may go away. Production writes to a
 * `ServerResponse`, the simulation to a simulated connection.
 */
export interface ClientPort {
  /** The client left, or the connection broke, before the answer was complete. */
  readonly gone: boolean
  /** The status line is out; from now on errors travel as frames. */
  readonly headSent: boolean
  /** Called once when the client goes before the end. */
  onGone: (() => void) | null
  /** Called when the client reads again after a `write` that returned false. */
  onDrain: (() => void) | null
  head(status: number, headers: OutgoingHttpHeaders): void
  /** @returns false when the client reads too slowly and more should wait for `onDrain`. */
  write(bytes: Uint8Array | string): boolean
  /** Ends the answer, after the last bytes. Nothing may follow. */
  end(bytes?: Uint8Array | string): void
}

/** Bodies up to this length leave in one write with their head. */
const ONE_WRITE_BYTES_MAX = 16_384

/** A `ClientPort` over Node's HTTP server. */
export class HttpClientPort implements ClientPort {
  readonly #response: ServerResponse
  onGone: (() => void) | null = null
  onDrain: (() => void) | null = null
  #gone = false

  constructor(response: ServerResponse) {
    this.#response = response
    response.on('close', () => {
      if (response.writableFinished || this.#gone) return
      this.#gone = true
      this.onGone?.()
    })
    response.on('drain', () => this.onDrain?.())
    // A reset while writing surfaces here as well as in `close`; without a listener it would end the process.
    response.on('error', () => undefined)
  }

  get gone(): boolean {
    return this.#gone
  }

  get headSent(): boolean {
    return this.#response.headersSent
  }

  head(status: number, headers: OutgoingHttpHeaders): void {
    if (this.#gone) return
    this.#response.writeHead(status, headers)
    // Without this the head waits for the first body byte, and a client cannot tell a queue from a dead server.
    if (headers['content-length'] === undefined) this.#response.flushHeaders()
  }

  write(bytes: Uint8Array | string): boolean {
    return this.#gone || this.#response.write(bytes)
  }

  end(bytes?: Uint8Array | string): void {
    if (this.#gone) return
    if (typeof bytes === 'object' && bytes.length <= ONE_WRITE_BYTES_MAX) {
      // Node joins a string with the head into one write; a buffer goes as a second part of a vector, which costs more.
      const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
      this.#response.end(buffer.toString('latin1'), 'latin1')
    } else this.#response.end(bytes)
  }
}
