import type { FileHandle } from 'node:fs/promises'
import { assert } from '../std/assert.ts'
import { type Line, readLines } from './read-lines.ts'

/** Most lines of a batch. */
export const LINES_MAX = 50_000

/** Where the lines of an input are, so that one can be read by itself: 12 bytes each. */
export class InputIndex {
  #offsets = new Float64Array(64)
  #lengths = new Uint32Array(64)
  #count = 0

  /** Lines that it knows. */
  get count(): number {
    return this.#count
  }

  /** Takes in the next line. */
  add({ offset, bytes }: Line): void {
    if (this.#count === this.#offsets.length) {
      this.#offsets = grown(this.#offsets, new Float64Array(this.#count * 2))
      this.#lengths = grown(this.#lengths, new Uint32Array(this.#count * 2))
    }
    this.#offsets[this.#count] = offset
    this.#lengths[this.#count] = bytes?.length ?? 0
    this.#count++
  }

  /** Reads a line by its place among the lines, from 0. */
  async read(file: FileHandle, place: number): Promise<Buffer> {
    assert(place >= 0 && place < this.#count, `there is no line ${place} of ${this.#count}`)
    const length = this.#lengths[place] as number
    const bytes = Buffer.allocUnsafe(length)
    const { bytesRead } = await file.read(bytes, 0, length, this.#offsets[place] as number)
    assert(bytesRead === length, `the input became shorter: line ${place} has ${bytesRead} of ${length} bytes`)
    return bytes
  }
}

/** The index of an input that was checked before. */
export async function indexInput(file: FileHandle, lineBytesMax: number): Promise<InputIndex> {
  const index = new InputIndex()
  for await (const line of readLines(file, lineBytesMax)) index.add(line)
  return index
}

function grown<Numbers extends Float64Array | Uint32Array>(from: Numbers, to: Numbers): Numbers {
  to.set(from)
  return to
}
