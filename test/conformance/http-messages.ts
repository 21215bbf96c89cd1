/** Finds the messages of HTTP/1.1 in the bytes of one direction of a connection, without touching the bytes. */

/** A message's first line and headers; names in lower case, repeated ones joined by a comma. */
export interface MessageHead {
  readonly line: string
  readonly headers: ReadonlyMap<string, string>
}

/** Told of what was found. */
export interface MessageListener {
  head(head: MessageHead): void
  body(bytes: Buffer): void
  end(): void
}

const NOTHING = Buffer.alloc(0)

type State = 'head' | 'sized' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailers' | 'to-close'

/** Reads one direction. `isBodiless` says that the message of a head has no body whatever its headers say. */
export class HttpMessages {
  readonly #listener: MessageListener
  readonly #isBodiless: (head: MessageHead) => boolean
  readonly #bodyToClose: boolean
  #state: State = 'head'
  #rest: Buffer = NOTHING
  #left = 0

  constructor(kind: 'request' | 'response', listener: MessageListener, isBodiless: (head: MessageHead) => boolean) {
    this.#listener = listener
    this.#isBodiless = isBodiless
    this.#bodyToClose = kind === 'response'
  }

  push(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    while (this.#rest.length > 0 && this.#step());
  }

  /** The direction ended; a message without a length ends with it. */
  close(): void {
    if (this.#state === 'to-close') this.#endMessage()
  }

  /** Answers whether it came further, so that it pays to go on. */
  #step(): boolean {
    switch (this.#state) {
      case 'head':
        return this.#readHead()
      case 'sized':
      case 'chunk':
        return this.#readSized()
      case 'to-close':
        this.#take(this.#rest.length)
        return false
      default:
        return this.#readLine()
    }
  }

  #readHead(): boolean {
    const end = this.#rest.indexOf('\r\n\r\n')
    // How long a head may grow is the server's to bound: it answers 431.
    if (end === -1) return false
    const [line = '', ...fields] = this.#rest.toString('latin1', 0, end).trimStart().split('\r\n')
    this.#rest = this.#rest.subarray(end + 4)
    const headers = new Map<string, string>()
    for (const field of fields) {
      const colon = field.indexOf(':')
      const name = field.slice(0, colon).trim().toLowerCase()
      const value = field.slice(colon + 1).trim()
      headers.set(name, headers.has(name) ? `${headers.get(name)}, ${value}` : value)
    }
    // "100 Continue" and its like only announce the message to come.
    if (/^HTTP\/1\.[01] 1\d\d/.test(line)) return true
    const head = { line, headers }
    this.#listener.head(head)
    this.#begin(head)
    return true
  }

  #begin(head: MessageHead): void {
    const length = head.headers.get('content-length')
    if (this.#isBodiless(head)) this.#endMessage()
    else if (/\bchunked\b/i.test(head.headers.get('transfer-encoding') ?? '')) this.#state = 'chunk-size'
    else if (length !== undefined) this.#expect('sized', Number(length))
    else if (this.#bodyToClose) this.#state = 'to-close'
    else this.#endMessage()
  }

  #expect(state: 'sized' | 'chunk', bytes: number): void {
    this.#state = state
    this.#left = bytes
    if (bytes === 0) this.#endMessage()
  }

  #readSized(): boolean {
    const count = Math.min(this.#left, this.#rest.length)
    this.#take(count)
    this.#left -= count
    if (this.#left > 0) return false
    if (this.#state === 'chunk') this.#state = 'chunk-end'
    else this.#endMessage()
    return true
  }

  #readLine(): boolean {
    const end = this.#rest.indexOf('\r\n')
    if (end === -1) return false
    const line = this.#rest.toString('latin1', 0, end)
    this.#rest = this.#rest.subarray(end + 2)
    if (this.#state === 'chunk-end') this.#state = 'chunk-size'
    else if (this.#state === 'trailers') {
      if (line === '') this.#endMessage()
    } else {
      const size = Number.parseInt(line, 16)
      if (size === 0) this.#state = 'trailers'
      else this.#expect('chunk', size)
    }
    return true
  }

  #take(count: number): void {
    if (count > 0) this.#listener.body(this.#rest.subarray(0, count))
    this.#rest = this.#rest.subarray(count)
  }

  #endMessage(): void {
    this.#state = 'head'
    this.#listener.end()
  }
}
