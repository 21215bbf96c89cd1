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
  #head: DataView = NOTHING
  #tail: DataView = NOTHING
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
    const { content } = delta
    if (content === undefined) return
    const { reasoning, refusal, toolCalls, logprobs, extra } = delta
    if ([reasoning, refusal, toolCalls, logprobs, extra].some(field => field !== undefined)) return
    const frame = bytes.subarray(start, end)
    const key = frame.indexOf(CONTENT_KEY)
    // With two keys of that name it would not be clear which one was read.
    if (key === -1 || frame.indexOf(CONTENT_KEY, key + 1) !== -1) return
    const open = frame.indexOf(QUOTE, key + CONTENT_KEY.length)
    const text = Buffer.from(JSON.stringify(content))
    if (open === -1 || frame.compare(text, 0, text.length, open, open + text.length) !== 0) return
    // Copies: the stream's buffers are not kept alive by what was learned from them.
    this.#head = viewOf(Buffer.from(frame.subarray(0, open + 1)))
    this.#tail = viewOf(Buffer.from(frame.subarray(open + text.length - 1)))
    this.choice = delta.choice
  }

  /**
   * Takes a frame that is like the learned one, for `takeTexts`. Answers the bytes of its text; 0 when it is not like that one, when
   * its text is empty, or when it has escapes, and then nothing was taken.
   */
  take(bytes: Buffer, start: number, end: number): number {
    const head = this.#head
    const tail = this.#tail
    const textStart = start + head.byteLength
    const textEnd = end - tail.byteLength
    if (head.byteLength === 0 || textEnd <= textStart) return 0
    if (bytes !== this.#bytes) {
      this.#bytes = bytes
      this.#view = viewOf(bytes)
    }
    if (!equalAt(this.#view, textEnd, tail) || !equalAt(this.#view, start, head)) return 0
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

/** Whether `view` has the bytes of `part` at `at`; it must be long enough. */
function equalAt(view: DataView, at: number, part: DataView): boolean {
  const length = part.byteLength
  let offset = 0
  for (; offset + 4 <= length; offset += 4) {
    if (view.getInt32(at + offset, true) !== part.getInt32(offset, true)) return false
  }
  for (; offset < length; offset++) if (view.getUint8(at + offset) !== part.getUint8(offset)) return false
  return true
}
