import type { OutgoingHttpHeaders } from 'node:http'
import type { ClientPort } from './client-port.ts'

/** A client that is nobody: it takes a buffered answer as fast as it comes, and never leaves. */
export class MemoryClient implements ClientPort {
  readonly gone = false
  onGone: (() => void) | null = null
  onDrain: (() => void) | null = null
  status = 0
  headers: OutgoingHttpHeaders = {}
  readonly #chunks: (Uint8Array | string)[] = []

  get headSent(): boolean {
    return this.status !== 0
  }

  head(status: number, headers: OutgoingHttpHeaders): void {
    this.status = status
    this.headers = headers
  }

  write(bytes: Uint8Array | string): boolean {
    this.#chunks.push(bytes)
    return true
  }

  end(bytes?: Uint8Array | string): void {
    if (bytes !== undefined) this.#chunks.push(bytes)
  }

  /** All that was written, without the blanks that keep a connection alive. */
  text(): string {
    return Buffer.concat(this.#chunks.map(chunk => (typeof chunk === 'string' ? Buffer.from(chunk) : chunk)))
      .toString('utf8')
      .trim()
  }
}
