import type { OutgoingHttpHeaders } from 'node:http'
import type { ClientPort } from './client-port.ts'

/** Most that is remembered of an answer for those who come late; it is far more than any model writes. */
const REMEMBERED_CHARS_MAX = 32 * 1024 * 1024

/** Reads an answer while it is written. */
export interface Watcher {
  write(text: string): void
  end(): void
}

/**
 * The client's side of an answer that no client has to wait for: it goes on when all who read it have left. Everything written is
 * remembered until it is over, so that whoever comes later can read it from the start.
 */
export class DetachedPort implements ClientPort {
  onGone: (() => void) | null = null
  onDrain: (() => void) | null = null
  gone = false
  headSent = false
  readonly #watchers = new Set<Watcher>()
  #written: string[] = []
  #chars = 0
  #ended = false
  #last = ''

  /** The last bytes of the answer, as text: of one that failed they say why. */
  get last(): string {
    return this.#last
  }

  head(_status: number, _headers: OutgoingHttpHeaders): void {
    this.headSent = true
  }

  write(bytes: Uint8Array | string): boolean {
    this.#add(textOf(bytes))
    return true
  }

  end(bytes?: Uint8Array | string): void {
    this.#last = bytes === undefined ? '' : textOf(bytes)
    this.#add(this.#last)
    this.#ended = true
    for (const watcher of this.#watchers) watcher.end()
    this.#watchers.clear()
  }

  /** Stops the request, as a client does that goes away. */
  leave(): void {
    if (this.gone || this.#ended) return
    this.gone = true
    this.onGone?.()
  }

  /** Tells a watcher all that was written and what will be. The result ends the telling. False where the beginning is not known any more. */
  watch(watcher: Watcher): (() => void) | false {
    if (this.#chars > REMEMBERED_CHARS_MAX) return false
    for (const text of this.#written) watcher.write(text)
    if (this.#ended) watcher.end()
    else this.#watchers.add(watcher)
    return () => void this.#watchers.delete(watcher)
  }

  #add(text: string): void {
    if (text === '') return
    this.#chars += text.length
    if (this.#chars > REMEMBERED_CHARS_MAX) this.#written = []
    else this.#written.push(text)
    for (const watcher of this.#watchers) watcher.write(text)
  }
}

// The answers of a protocol are whole UTF-8 frames or the whole body.
function textOf(bytes: Uint8Array | string): string {
  return typeof bytes === 'string' ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')
}
