const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20
const COLON = 0x3a
const LOWER_D = 0x64
const LOWER_E = 0x65

/** The stream held a frame larger than the parser was told to take. */
export class SseFrameTooLarge extends Error {
  override name = 'SseFrameTooLarge'
}

/**
 * Splits a stream of server-sent events into whole frames, however its bytes were cut. It works as a cursor, so that a
 * relayed frame costs no allocation:
 *
 *     parser.push(chunk)
 *     while (parser.next()) use(parser.bytes, parser.frameStart, parser.frameEnd, parser.dataStart, parser.dataEnd)
 *
 * Lines may end in LF, CR LF or CR; comments, unknown fields and a leading byte order mark are skipped; frames without a
 * `data` line are not reported (the WHATWG rule: they dispatch nothing). The ranges stay valid for good: memory that was
 * handed out is never written again.
 */
export class SseParser {
  /** Holds `frameStart..frameEnd` of the current frame, blank line included. */
  bytes: Buffer = EMPTY
  frameStart = 0
  frameEnd = 0
  /** Holds `dataStart..dataEnd`, the payload; the same as `bytes` unless the payload had several lines. */
  dataBytes: Buffer = EMPTY
  dataStart = 0
  dataEnd = 0

  readonly #frameBytesMax: number
  /** Valid bytes are `#start..#end` of `bytes`; what follows `#end` is spare room when `#owned`. */
  #start = 0
  #end = 0
  /** Start of the line that is being scanned, and how far it was searched for its end. */
  #line = 0
  #searched = 0
  #owned = false
  #atStreamStart = true
  /** Ranges (start, end) of data lines of the frame being scanned, beyond the first. */
  #moreData: number[] = []
  #firstDataStart = -1
  #firstDataEnd = -1
  #eventStart = -1
  #eventEnd = -1
  #reportedEventStart = -1
  #reportedEventEnd = -1
  #hasCr = false

  constructor(options: { readonly frameBytesMax: number }) {
    this.#frameBytesMax = options.frameBytesMax
  }

  /** The `event:` name of the current frame, empty when it has none. */
  get event(): string {
    return this.#reportedEventStart < 0
      ? ''
      : this.bytes.toString('utf8', this.#reportedEventStart, this.#reportedEventEnd)
  }

  /** Takes the next bytes of the stream. Call `next` until it answers false before pushing more. */
  push(chunk: Uint8Array): void {
    if (chunk.byteLength === 0) return
    const incoming = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const kept = this.#end - this.#start
    if (kept === 0) {
      this.bytes = incoming
      this.#owned = false
      this.#rebase(this.#start)
      this.#end = incoming.length
    } else {
      // Room is doubled, so that a frame that arrives byte by byte is still copied a bounded number of times.
      if (!this.#owned || this.bytes.length - this.#end < incoming.length) {
        const grown = Buffer.allocUnsafeSlow(Math.max(2 * kept, 512) + incoming.length)
        this.bytes.copy(grown, 0, this.#start, this.#end)
        this.bytes = grown
        this.#owned = true
        this.#rebase(this.#start)
        this.#end = kept
      }
      incoming.copy(this.bytes, this.#end)
      this.#end += incoming.length
    }
    // CR is rare enough that one search per chunk, to leave it out of the line search, is the cheaper way.
    if (!this.#hasCr && incoming.indexOf(CR) !== -1) this.#hasCr = true
  }

  /** Says that no more bytes come: a last frame whose lines are whole but whose blank line is missing still counts. */
  end(): void {
    if (this.#end === this.#start) return
    const last = this.bytes[this.#end - 1]
    if (last === LF || last === CR) this.push(LF_BYTE)
  }

  /**
   * Moves to the next whole frame; false when more bytes are needed.
   * Throws `SseFrameTooLarge` when a frame, whole or not, is beyond the bound.
   */
  next(): boolean {
    while (true) {
      const lineEnd = this.#hasCr ? this.#findLineEndWithCr() : this.#findLineFeed()
      if (lineEnd === -1) {
        this.#checkSize(this.#end - this.#start)
        return false
      }
      const nextLine = this.#afterLineEnd(lineEnd)
      // A CR at the very end may be the first half of CR LF: wait, so that frames do not depend on how bytes were cut.
      if (nextLine === -1) {
        this.#checkSize(this.#end - this.#start)
        return false
      }
      if (this.#atStreamStart) {
        this.#atStreamStart = false
        if (this.#startsWithBom()) {
          this.#start += 3
          this.#line += 3
        }
      }
      if (lineEnd > this.#line) {
        this.#readLine(this.#line, lineEnd)
        this.#line = nextLine
        this.#searched = nextLine
        continue
      }
      this.frameStart = this.#start
      this.frameEnd = nextLine
      this.#start = nextLine
      this.#line = nextLine
      this.#searched = nextLine
      this.#checkSize(this.frameEnd - this.frameStart)
      if (this.#report()) return true
    }
  }

  #findLineFeed(): number {
    // Every other line is the blank one that closes a frame: seen without a search.
    if (this.#searched < this.#end && this.bytes[this.#searched] === LF) return this.#searched
    const at = this.bytes.indexOf(LF, this.#searched)
    if (at !== -1 && at < this.#end) return at
    this.#searched = this.#end
    return -1
  }

  #findLineEndWithCr(): number {
    const bytes = this.bytes
    const end = this.#end
    for (let at = this.#searched; at < end; at++) {
      const byte = bytes[at]
      if (byte === LF || byte === CR) {
        this.#searched = at
        return at
      }
    }
    this.#searched = end
    return -1
  }

  #afterLineEnd(lineEnd: number): number {
    if (!this.#hasCr || this.bytes[lineEnd] === LF) return lineEnd + 1
    if (lineEnd + 1 === this.#end) return -1
    return this.bytes[lineEnd + 1] === LF ? lineEnd + 2 : lineEnd + 1
  }

  #startsWithBom(): boolean {
    const bytes = this.bytes
    return bytes[this.#start] === 0xef && bytes[this.#start + 1] === 0xbb && bytes[this.#start + 2] === 0xbf
  }

  #readLine(start: number, end: number): void {
    const bytes = this.bytes
    const first = bytes[start]
    if (first === LOWER_D && isField(bytes, start, end, 'data')) {
      const from = valueStart(bytes, start + 4, end)
      if (this.#firstDataStart < 0) {
        this.#firstDataStart = from
        this.#firstDataEnd = end
      } else {
        this.#moreData.push(from, end)
      }
    } else if (first === LOWER_E && isField(bytes, start, end, 'event')) {
      this.#eventStart = valueStart(bytes, start + 5, end)
      this.#eventEnd = end
    }
  }

  /** Publishes the frame that was just closed; false when it carries no data. */
  #report(): boolean {
    const start = this.#firstDataStart
    this.#reportedEventStart = this.#eventStart
    this.#reportedEventEnd = this.#eventEnd
    this.#eventStart = -1
    this.#firstDataStart = -1
    if (start < 0) return false
    if (this.#moreData.length === 0) {
      this.dataBytes = this.bytes
      this.dataStart = start
      this.dataEnd = this.#firstDataEnd
      return true
    }
    const lines: Uint8Array[] = [this.bytes.subarray(start, this.#firstDataEnd)]
    for (let i = 0; i < this.#moreData.length; i += 2) {
      lines.push(LF_BYTE, this.bytes.subarray(this.#moreData[i], this.#moreData[i + 1]))
    }
    this.#moreData = []
    this.dataBytes = Buffer.concat(lines)
    this.dataStart = 0
    this.dataEnd = this.dataBytes.length
    return true
  }

  /** Shifts every remembered position after bytes before `origin` were dropped. */
  #rebase(origin: number): void {
    this.#start -= origin
    this.#line -= origin
    this.#searched -= origin
    if (this.#firstDataStart >= 0) this.#firstDataStart -= origin
    this.#firstDataEnd -= origin
    if (this.#eventStart >= 0) this.#eventStart -= origin
    this.#eventEnd -= origin
    for (let i = 0; i < this.#moreData.length; i++) this.#moreData[i] = (this.#moreData[i] as number) - origin
  }

  #checkSize(frameBytes: number): void {
    if (frameBytes > this.#frameBytesMax) {
      throw new SseFrameTooLarge(`An event of the stream is larger than ${this.#frameBytesMax} bytes.`)
    }
  }
}

const EMPTY = Buffer.alloc(0)
const LF_BYTE = Buffer.from('\n')

function isField(bytes: Buffer, start: number, end: number, name: string): boolean {
  const after = start + name.length
  if (after > end || (after < end && bytes[after] !== COLON)) return false
  for (let i = 0; i < name.length; i++) if (bytes[start + i] !== name.charCodeAt(i)) return false
  return true
}

/** Where the value begins, given the end of the field name: after the colon and one optional space. */
function valueStart(bytes: Buffer, nameEnd: number, lineEnd: number): number {
  if (nameEnd === lineEnd) return lineEnd
  return nameEnd + 1 < lineEnd && bytes[nameEnd + 1] === SPACE ? nameEnd + 2 : nameEnd + 1
}
