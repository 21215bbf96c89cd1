import { isUtf8 } from 'node:buffer'
import type { InferenceEvent } from '../../../inference/event.ts'

type Delta = Extract<InferenceEvent, { type: 'delta' }>

const QUOTE = 0x22
const BACKSLASH = 0x5c
const CONTENT_KEY = Buffer.from('"content":')
const NOTHING = new DataView(new ArrayBuffer(0))
/** Room for the texts of some dozens of frames, out of Node's pool. */
const TEXTS_BYTES_FIRST = 512

/**
 * Recognises a frame that differs from the one learned before in nothing but its text: most frames of a stream do. What equals a
 * parsed frame byte for byte outside the text means the same, so it needs no parsing. Measured on a usual frame of 180 bytes:
 * comparing four bytes at a time takes 50 ns, `Buffer.compare` twice 220 ns, `JSON.parse` 1060 ns and the garbage it makes.
 *
 * The texts of the frames taken are gathered as bytes and decoded together: 10 ns a frame against 90.
 */
export class RepeatedFrame {
  /** The learned frame, and which parts of it are before and after its text. Lengths are fields: asking a view costs a call. */
  #learned: DataView = NOTHING
  #headLength = 0
  #tailStart = 0
  #tailLength = 0
  /** The memory that frames were last taken from, and a view of it. */
  #bytes: Buffer | null = null
  #view: DataView = NOTHING
  #texts: Buffer | null = null
  #textsLength = 0
  #ascii = true
  /** The choice that the learned frame belongs to. */
  choice = 0

  /** Remembers a frame's payload that was read as one delta of nothing but content. Anything else is not learned. */
  learn(bytes: Buffer, start: number, end: number, delta: Delta): void {
    const { content, reasoning, refusal, toolCalls, logprobs, extra } = delta
    if (content === undefined || reasoning !== undefined || refusal !== undefined || toolCalls !== undefined) return
    if (logprobs !== undefined || extra !== undefined) return
    const key = bytes.indexOf(CONTENT_KEY, start)
    if (key === -1 || key >= end) return
    // With two keys of that name it would not be clear which one was read.
    const second = bytes.indexOf(CONTENT_KEY, key + 1)
    if (second !== -1 && second < end) return
    const open = bytes.indexOf(QUOTE, key + CONTENT_KEY.length)
    const close = open === -1 ? -1 : bytes.indexOf(QUOTE, open + 1)
    // Not the text that was read: it has escapes, or there is something between the key and the quote.
    if (close === -1 || close >= end || bytes.toString('utf8', open + 1, close) !== content) return
    // A copy: the stream's buffers are not kept alive by what was learned from them.
    this.#learned = viewOf(Buffer.from(bytes.subarray(start, end)))
    this.#headLength = open + 1 - start
    this.#tailStart = close - start
    this.#tailLength = end - close
    this.choice = delta.choice
  }

  /**
   * Takes a frame that is like the learned one, for `takeTexts`. Answers the bytes of its text; 0 when it is not like that one, when
   * its text is empty, or when it has escapes, and then nothing was taken.
   */
  take(bytes: Buffer, start: number, end: number): number {
    const textStart = start + this.#headLength
    const textEnd = end - this.#tailLength
    if (this.#headLength === 0 || textEnd <= textStart) return 0
    if (bytes !== this.#bytes) {
      this.#bytes = bytes
      this.#view = viewOf(bytes)
    }
    if (!equalAt(this.#view, textEnd, this.#learned, this.#tailStart, this.#tailLength)) return 0
    if (!equalAt(this.#view, start, this.#learned, 0, this.#headLength)) return 0
    let ascii = true
    for (let at = textStart; at < textEnd; at++) {
      const byte = bytes[at] as number
      if (byte === QUOTE || byte === BACKSLASH || byte < 0x20) return 0
      if (byte >= 0x80) ascii = false
    }
    // Broken characters are for the parser: gathered, two halves would become a whole one, or not, by how the stream was cut.
    if (!ascii && !isUtf8(bytes.subarray(textStart, textEnd))) return 0
    this.#gather(bytes, textStart, textEnd)
    this.#ascii &&= ascii
    return textEnd - textStart
  }

  /** The texts of the frames taken since the last call, in order; empty when there were none. */
  takeTexts(): string {
    if (this.#textsLength === 0) return ''
    const text = (this.#texts as Buffer).toString(this.#ascii ? 'latin1' : 'utf8', 0, this.#textsLength)
    this.#textsLength = 0
    this.#ascii = true
    this.#bytes = null
    this.#view = NOTHING
    return text
  }

  #gather(bytes: Buffer, start: number, end: number): void {
    const length = this.#textsLength + end - start
    let texts = this.#texts
    if (texts === null || texts.length < length) {
      // Doubled, so that texts are copied a bounded number of times.
      texts = Buffer.allocUnsafe(Math.max(TEXTS_BYTES_FIRST, 2 * length))
      this.#texts?.copy(texts, 0, 0, this.#textsLength)
      this.#texts = texts
    }
    for (let from = start, to = this.#textsLength; from < end; from++, to++) texts[to] = bytes[from] as number
    this.#textsLength = length
  }
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Whether `view` has at `at` the `length` bytes that `part` has at `from`; both must be long enough. */
function equalAt(view: DataView, at: number, part: DataView, from: number, length: number): boolean {
  let offset = 0
  for (; offset + 4 <= length; offset += 4) {
    if (view.getInt32(at + offset, true) !== part.getInt32(from + offset, true)) return false
  }
  for (; offset < length; offset++) if (view.getUint8(at + offset) !== part.getUint8(from + offset)) return false
  return true
}
