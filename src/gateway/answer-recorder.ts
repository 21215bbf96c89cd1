import type { OutgoingHttpHeaders } from 'node:http'
import type { ClientPort } from './client-port.ts'

/** Belong to one connection, not to the answer. */
const CONNECTION_HEADERS: ReadonlySet<string> = new Set(['content-length', 'connection', 'transfer-encoding'])

/**
 * A client's port that remembers the answer written to it, also what a client that has gone will never read. What exceeds the bound is
 * passed on and forgotten.
 */
export class AnswerRecorder implements ClientPort {
  readonly #client: ClientPort
  readonly #bytesMax: number
  #chunks: (Uint8Array | string)[] = []
  #bytes = 0
  #head: { readonly status: number; readonly headers: OutgoingHttpHeaders } | null = null

  constructor(client: ClientPort, bytesMax: number) {
    this.#client = client
    this.#bytesMax = bytesMax
  }

  get gone(): boolean {
    return this.#client.gone
  }

  get headSent(): boolean {
    return this.#client.headSent
  }

  get onGone(): (() => void) | null {
    return this.#client.onGone
  }

  set onGone(callback: (() => void) | null) {
    this.#client.onGone = callback
  }

  get onDrain(): (() => void) | null {
    return this.#client.onDrain
  }

  set onDrain(callback: (() => void) | null) {
    this.#client.onDrain = callback
  }

  head(status: number, headers: OutgoingHttpHeaders): void {
    this.#head = { status, headers }
    this.#client.head(status, headers)
  }

  write(bytes: Uint8Array | string): boolean {
    this.#bytes += typeof bytes === 'string' ? Buffer.byteLength(bytes) : bytes.length
    if (this.#bytes > this.#bytesMax) this.#chunks = []
    else this.#chunks.push(bytes)
    return this.#client.write(bytes)
  }

  end(bytes?: Uint8Array | string): void {
    this.#client.end(bytes)
  }

  /** Whether all that was written, and so many bytes more, stay within the bound. */
  fits(moreBytes: number): boolean {
    return this.#bytes + moreBytes <= this.#bytesMax
  }

  /** The whole answer, the last bytes included that are yet to be sent; `headers` where no head was written. */
  whole(headers: OutgoingHttpHeaders, last: Uint8Array) {
    const head = this.#head ?? { status: 200, headers }
    const kept = Object.entries(head.headers).filter(
      ([name, value]) => value !== undefined && !CONNECTION_HEADERS.has(name),
    )
    const chunks = this.#chunks.map(chunk => (typeof chunk === 'string' ? Buffer.from(chunk) : chunk))
    return {
      status: head.status,
      headers: Object.fromEntries(kept.map(([name, value]) => [name, String(value)])),
      body: Buffer.concat([...chunks, last]),
    }
  }
}
