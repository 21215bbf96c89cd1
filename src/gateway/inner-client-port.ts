import type { OutgoingHttpHeaders } from 'node:http'
import type { ClientPort } from './client-port.ts'

/** An answer as it was given to work that no client waits for. */
export interface InnerAnswer {
  readonly status: number
  readonly headers: OutgoingHttpHeaders
  readonly body: Buffer
}

/**
 * The client's side of an exchange that no client waits for. Nothing leaves before the end: what keeps a connection alive is dropped,
 * and the last head counts, so that an error has the status of an error however long it took.
 */
export class InnerClientPort implements ClientPort {
  readonly gone = false
  readonly headSent = false
  onGone: (() => void) | null = null
  onDrain: (() => void) | null = null
  #head: { readonly status: number; readonly headers: OutgoingHttpHeaders } = { status: 500, headers: {} }
  #body: Buffer = Buffer.alloc(0)

  /** The answer, once `end` was called. */
  get answer(): InnerAnswer {
    return { ...this.#head, body: this.#body }
  }

  head(status: number, headers: OutgoingHttpHeaders): void {
    this.#head = { status, headers: { ...headers } }
  }

  write(): boolean {
    return true
  }

  end(bytes?: Uint8Array | string): void {
    if (bytes !== undefined) this.#body = typeof bytes === 'string' ? Buffer.from(bytes) : Buffer.from(bytes)
  }
}
