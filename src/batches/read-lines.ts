import type { FileHandle } from 'node:fs/promises'

/** A line of a file. */
export interface Line {
  /** Counted from 1, empty ones too. */
  readonly number: number
  /** Where it begins, in bytes from the beginning of the file. */
  readonly offset: number
  /** Without its line end; null when there are more than allowed. Only valid until the next line is asked for. */
  readonly bytes: Buffer | null
}

const CHUNK_BYTES = 256 * 1024
const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
/** Some editors put it before UTF-8. */
const BYTE_ORDER_MARK = Buffer.from('\ufeff')

/** The lines of a file that are not empty, one after another; of the file no more is in memory than the longest line. */
export async function* readLines(file: FileHandle, lineBytesMax: number): AsyncGenerator<Line> {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  let pieces: Buffer[] = []
  let length = 0
  let number = 1
  let offset = 0
  const take = (): Line | null => {
    if (length > lineBytesMax) return { number, offset, bytes: null }
    const whole = Buffer.concat(pieces, length)
    const mark = offset === 0 && whole.subarray(0, 3).equals(BYTE_ORDER_MARK) ? 3 : 0
    const bytes = withoutReturn(whole.subarray(mark))
    return isBlank(bytes) ? null : { number, offset: offset + mark, bytes }
  }
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, at)
    if (bytesRead === 0) break
    at += bytesRead
    let from = 0
    for (;;) {
      const end = chunk.subarray(0, bytesRead).indexOf(LINE_FEED, from)
      const piece = chunk.subarray(from, end < 0 ? bytesRead : end)
      // What is too long is only measured.
      if (length + piece.length <= lineBytesMax) pieces.push(Buffer.from(piece))
      length += piece.length
      if (end < 0) break
      const line = take()
      if (line !== null) yield line
      offset += length + 1
      pieces = []
      length = 0
      number++
      from = end + 1
    }
  }
  const last = take()
  if (length > 0 && last !== null) yield last
}

function withoutReturn(bytes: Buffer): Buffer {
  return bytes.at(-1) === CARRIAGE_RETURN ? bytes.subarray(0, -1) : bytes
}

function isBlank(bytes: Buffer): boolean {
  for (const byte of bytes) if (byte !== 0x20 && byte !== 0x09 && byte !== CARRIAGE_RETURN) return false
  return true
}
