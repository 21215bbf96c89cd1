import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

/** The file is not a GGUF file that can be read; the message says where and why. */
export class GgufError extends Error {
  override name = 'GgufError'
}

/** An array of the metadata. Long arrays and arrays of strings (vocabularies) are skipped: only their length is kept. */
export interface GgufArray {
  readonly length: number
  /** Numbers of an array of at most 4,096 numbers; else null. */
  readonly numbers: readonly number[] | null
  /** Of an array of strings those that the reader was asked to look for, in the order of the array. */
  readonly found: readonly string[]
}

/** One metadata value. 64-bit integers become numbers; those beyond 2^53 lose their last bits. */
export type GgufValue = string | number | boolean | GgufArray

/** One tensor's place in the file. */
export interface GgufTensor {
  readonly name: string
  /** Lengths of the dimensions, the fastest running one first. */
  readonly dimensions: readonly number[]
  /** ggml's number of the tensor's type. */
  readonly type: number
  /** Bytes from the start of the tensor data. */
  readonly offset: number
}

/** What stands before the weights of a GGUF file. */
export interface GgufHeader {
  readonly version: number
  readonly metadata: ReadonlyMap<string, GgufValue>
  readonly tensors: readonly GgufTensor[]
  /** Where the tensor data starts, bytes from the start of the file. */
  readonly dataOffset: number
  readonly fileBytes: number
}

const WINDOW_BYTES = 1 << 20
const KEYS_MAX = 65_536
const TENSORS_MAX = 1_000_000
// Chat templates are the longest strings seen, tens of kilobytes.
const STRING_BYTES_MAX = 16 << 20
const NUMBERS_KEPT_MAX = 4_096
const DIMENSIONS_MAX = 4
const ALIGNMENT_DEFAULT = 32
const STRING_TYPE = 8
const ARRAY_TYPE = 9

/** Bytes of a value of each GGUF type; strings and arrays have no fixed size. */
const VALUE_BYTES: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
}

/**
 * Reads the header of a local GGUF file (ggml's docs/gguf.md: magic, version, counts, metadata, tensor infos, padding).
 * Only the header is read, a window at a time, and vocabularies are passed over: 10 ms where a reader that keeps them
 * took 800 ms and 100 MB of memory (Gemma's 262,144 tokens). It reads synchronously; it is not for the path of a request.
 *
 * @param lookFor strings to find in arrays of strings: special tokens of a vocabulary.
 * @throws GgufError when the file is no GGUF, of a version that llama.cpp does not read, damaged or cut short.
 */
export function readGgufHeader(path: string, lookFor: readonly string[] = []): GgufHeader {
  const file = openSync(path, 'r')
  try {
    return parseHeader(new Reader(file, fstatSync(file).size, lookFor))
  } finally {
    closeSync(file)
  }
}

function parseHeader(reader: Reader): GgufHeader {
  if (reader.fileBytes < 24) throw new GgufError(`the file has ${reader.fileBytes} bytes; a GGUF header alone has 24`)
  if (reader.take(4).toString('latin1') !== 'GGUF') throw new GgufError('the file does not start with "GGUF"')
  const version = reader.number(4)
  if (version > 0xffff) throw new GgufError('the file is big-endian GGUF; convert it on a little-endian machine')
  if (version !== 2 && version !== 3)
    throw new GgufError(`the file is GGUF version ${version}; versions 2 and 3 are read`)
  const tensorCount = reader.count('tensors', TENSORS_MAX)
  const keyCount = reader.count('metadata keys', KEYS_MAX)

  const metadata = new Map<string, GgufValue>()
  for (let index = 0; index < keyCount; index++) {
    const key = reader.string()
    metadata.set(key, reader.value(reader.number(4), key))
  }
  const tensors: GgufTensor[] = []
  for (let index = 0; index < tensorCount; index++) tensors.push(reader.tensor())

  const alignment = metadata.get('general.alignment') ?? ALIGNMENT_DEFAULT
  if (typeof alignment !== 'number' || alignment < 1 || alignment % 8 !== 0) {
    throw new GgufError(`general.alignment is ${String(alignment)}; a multiple of 8 is needed`)
  }
  const dataOffset = Math.ceil(reader.position / alignment) * alignment
  return { version, metadata, tensors, dataOffset, fileBytes: reader.fileBytes }
}

/** Walks the file forward through one window of memory. */
class Reader {
  position = 0
  readonly fileBytes: number
  readonly #file: number
  readonly #window = Buffer.allocUnsafe(WINDOW_BYTES)
  #windowStart = 0
  #windowEnd = 0
  readonly #lookFor: ReadonlySet<string>
  readonly #lengths: ReadonlySet<number>

  constructor(file: number, fileBytes: number, lookFor: readonly string[]) {
    this.#lookFor = new Set(lookFor)
    this.#lengths = new Set(lookFor.map(text => Buffer.byteLength(text)))
    this.#file = file
    this.fileBytes = fileBytes
  }

  /** The next bytes. The buffer is only valid until the next call. */
  take(bytes: number): Buffer {
    if (this.position + bytes > this.fileBytes) {
      throw new GgufError(`the file ends within its header, after ${this.fileBytes} bytes: it was cut short`)
    }
    if (bytes > WINDOW_BYTES) return this.#takeLarge(bytes)
    if (this.position < this.#windowStart || this.position + bytes > this.#windowEnd) {
      this.#windowStart = this.position
      this.#windowEnd = this.position + readSync(this.#file, this.#window, 0, WINDOW_BYTES, this.position)
      if (this.position + bytes > this.#windowEnd) throw new GgufError('the file became shorter while it was read')
    }
    const start = this.position - this.#windowStart
    this.position += bytes
    return this.#window.subarray(start, start + bytes)
  }

  #takeLarge(bytes: number): Buffer {
    const large = Buffer.allocUnsafe(bytes)
    if (readSync(this.#file, large, 0, bytes, this.position) < bytes) {
      throw new GgufError('the file became shorter while it was read')
    }
    this.position += bytes
    return large
  }

  #skip(bytes: number): void {
    if (this.position + bytes > this.fileBytes) this.take(bytes)
    this.position += bytes
  }

  /** An unsigned integer of 4 or 8 bytes. */
  number(bytes: 4 | 8): number {
    const buffer = this.take(bytes)
    return bytes === 4 ? buffer.readUInt32LE() : Number(buffer.readBigUInt64LE())
  }

  count(what: string, most: number): number {
    const count = this.number(8)
    if (count > most) throw new GgufError(`the header announces ${count} ${what}; at most ${most} are read`)
    return count
  }

  string(): string {
    return this.take(this.count('bytes of one string', STRING_BYTES_MAX)).toString('utf8')
  }

  value(type: number, key: string): GgufValue {
    if (type === STRING_TYPE) return this.string()
    if (type === ARRAY_TYPE) return this.#array(key)
    if (type === 7) return this.take(1).readUInt8() !== 0
    return this.#scalar(type, key)
  }

  #scalar(type: number, key: string): number {
    const bytes = VALUE_BYTES[type]
    if (bytes === undefined) throw new GgufError(`metadata key "${key}" has the unknown type ${type}`)
    const buffer = this.take(bytes)
    if (type === 6) return buffer.readFloatLE()
    if (type === 12) return buffer.readDoubleLE()
    if (type === 10) return Number(buffer.readBigUInt64LE())
    if (type === 11) return Number(buffer.readBigInt64LE())
    const signed = type === 1 || type === 3 || type === 5
    return signed ? buffer.readIntLE(0, bytes) : buffer.readUIntLE(0, bytes)
  }

  #array(key: string): GgufArray {
    const type = this.number(4)
    // Each element takes at least one byte, so the file's size bounds the count before anything is looped over.
    const length = this.count(`elements of "${key}"`, this.fileBytes)
    if (type === STRING_TYPE) return { length, numbers: null, found: this.#find(length) }
    const bytes = VALUE_BYTES[type]
    if (bytes === undefined) throw new GgufError(`array "${key}" has elements of the unknown type ${type}`)
    if (length > NUMBERS_KEPT_MAX) {
      this.#skip(length * bytes)
      return { length, numbers: null, found: [] }
    }
    return { length, numbers: Array.from({ length }, () => this.#scalar(type, key)), found: [] }
  }

  /** Passes over `length` strings and keeps those looked for; all others are told apart by their length alone. */
  #find(length: number): string[] {
    const found: string[] = []
    for (let index = 0; index < length; index++) {
      const bytes = this.number(8)
      if (!this.#lengths.has(bytes)) {
        this.#skip(bytes)
        continue
      }
      const text = this.take(bytes).toString('utf8')
      if (this.#lookFor.has(text)) found.push(text)
    }
    return found
  }

  tensor(): GgufTensor {
    const name = this.string()
    const rank = this.number(4)
    if (rank > DIMENSIONS_MAX) throw new GgufError(`tensor "${name}" has ${rank} dimensions; ggml has at most 4`)
    const dimensions = Array.from({ length: rank }, () => this.number(8))
    return { name, dimensions, type: this.number(4), offset: this.number(8) }
  }
}
