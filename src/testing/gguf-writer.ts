import { randomUUID } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'

/**
 * Writes model files in GGUF version 3, little endian, as the specification in ggml's `docs/gguf.md` lays them out:
 * header, metadata, tensor infos, padding, then each tensor's data at a multiple of the alignment.
 */

/** Type codes of metadata values, as the specification numbers them. */
const VALUE_CODE = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
} as const

/** Type codes (`ggml_type`) and element sizes of the tensor types that a fixture needs. */
const TENSOR_CODE = {
  f32: { code: 0, elementBytes: 4 },
  f16: { code: 1, elementBytes: 2 },
  i32: { code: 26, elementBytes: 4 },
} as const

type SmallNumber = 'uint8' | 'int8' | 'uint16' | 'int16' | 'uint32' | 'int32' | 'float32' | 'float64'

/** One metadata value that is not an array, with its GGUF type. */
export type GgufScalar =
  | { readonly [type in SmallNumber]: { readonly type: type; readonly value: number } }[SmallNumber]
  | { readonly type: 'uint64'; readonly value: bigint }
  | { readonly type: 'int64'; readonly value: bigint }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }

/** One metadata value, tagged with its GGUF type; the elements of an array share one type. */
export type GgufValue =
  | GgufScalar
  | { readonly type: 'array'; readonly of: SmallNumber; readonly value: readonly number[] }
  | { readonly type: 'array'; readonly of: 'string'; readonly value: readonly string[] }
  | { readonly type: 'array'; readonly of: 'bool'; readonly value: readonly boolean[] }

/** One tensor. */
export interface GgufTensor {
  readonly name: string
  readonly type: keyof typeof TENSOR_CODE
  /** Sizes, the fastest-varying dimension first (ggml's `ne`); one to four of them. */
  readonly shape: readonly number[]
  /** Makes the elements, asked for once and only when it is this tensor's turn, so that one tensor is in memory at a time. */
  readonly data: () => Float32Array | Float16Array | Int32Array
}

/** What a file is made of. Metadata keeps the order of its keys. */
export interface GgufContent {
  readonly metadata: Readonly<Record<string, GgufValue>>
  readonly tensors: readonly GgufTensor[]
}

/** Where tensor data may start: the specification's default, so the file need not name it. */
const ALIGNMENT_BYTES = 32

const DIMENSIONS_MAX = 4

/** The longest tensor name ggml accepts, terminator left out (`GGML_MAX_NAME` is 64). */
const TENSOR_NAME_BYTES_MAX = 63

/**
 * Writes a GGUF file. It appears under `path` whole or not at all: a temporary file beside it is filled, synced and renamed.
 *
 * @throws Error when a number does not fit its type, a shape is not one to four positive integers, a name is too long or
 *   repeated, or a tensor's data is not what its shape and type announce; and whatever the file system throws.
 */
export async function writeGguf(path: string, content: GgufContent): Promise<void> {
  const header = encodeHeader(content)
  const temporaryPath = `${path}.${randomUUID()}.partial`
  const file = await open(temporaryPath, 'wx', 0o600)
  try {
    try {
      await file.writeFile(header)
      await file.writeFile(new Uint8Array(paddingBytes(header.length)))
      for (const tensor of content.tensors) {
        const bytes = encodeElements(tensor)
        await file.writeFile(bytes)
        await file.writeFile(new Uint8Array(paddingBytes(bytes.length)))
      }
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporaryPath, path)
  } catch (error) {
    await rm(temporaryPath, { force: true })
    throw error
  }
}

/** Bytes of a tensor's data, padding left out. */
export function tensorBytes(tensor: Pick<GgufTensor, 'type' | 'shape'>): number {
  return elementCount(tensor.shape) * TENSOR_CODE[tensor.type].elementBytes
}

function encodeHeader({ metadata, tensors }: GgufContent): Uint8Array {
  const keys = Object.entries(metadata)
  const out = new ByteSink()
  out.bytes(new TextEncoder().encode('GGUF'))
  out.number('uint32', 3)
  out.big('uint64', BigInt(tensors.length))
  out.big('uint64', BigInt(keys.length))
  for (const [key, value] of keys) {
    out.string(key)
    try {
      encodeValue(out, value)
    } catch (error) {
      throw new Error(`metadata ${key}: ${(error as Error).message}`, { cause: error })
    }
  }
  let offset = 0
  const names = new Set<string>()
  for (const tensor of tensors) {
    checkTensor(tensor)
    if (names.has(tensor.name)) throw new Error(`tensor ${tensor.name} occurs twice; each name may occur once`)
    names.add(tensor.name)
    out.string(tensor.name)
    out.number('uint32', tensor.shape.length)
    for (const size of tensor.shape) out.big('uint64', BigInt(size))
    out.number('uint32', TENSOR_CODE[tensor.type].code)
    out.big('uint64', BigInt(offset))
    const bytes = tensorBytes(tensor)
    offset += bytes + paddingBytes(bytes)
  }
  return out.take()
}

function encodeValue(out: ByteSink, value: GgufValue): void {
  out.number('uint32', VALUE_CODE[value.type])
  if (value.type !== 'array') {
    encodeScalar(out, value)
    return
  }
  out.number('uint32', VALUE_CODE[value.of])
  out.big('uint64', BigInt(value.value.length))
  for (const element of value.value) encodeScalar(out, { type: value.of, value: element } as GgufScalar)
}

function encodeScalar(out: ByteSink, scalar: GgufScalar): void {
  if (scalar.type === 'string') out.string(scalar.value)
  else if (scalar.type === 'bool') out.number('uint8', scalar.value ? 1 : 0)
  else if (scalar.type === 'uint64' || scalar.type === 'int64') out.big(scalar.type, scalar.value)
  else out.number(scalar.type, scalar.value)
}

function encodeElements(tensor: GgufTensor): Uint8Array {
  const data = tensor.data()
  const wanted = { f32: Float32Array, f16: Float16Array, i32: Int32Array }[tensor.type]
  if (!(data instanceof wanted))
    throw new Error(`tensor ${tensor.name}: type ${tensor.type} needs its data as ${wanted.name}`)
  if (data.length !== elementCount(tensor.shape)) {
    throw new Error(
      `tensor ${tensor.name}: shape [${tensor.shape}] needs ${elementCount(tensor.shape)} elements, got ${data.length}`,
    )
  }
  // Every machine that Node 26 is built for here is little endian, as the file is; so the elements' bytes are the file's.
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

function checkTensor({ name, shape }: GgufTensor): void {
  if (new TextEncoder().encode(name).length > TENSOR_NAME_BYTES_MAX) {
    throw new Error(`tensor ${name}: the name is longer than ${TENSOR_NAME_BYTES_MAX} bytes`)
  }
  if (
    shape.length < 1 ||
    shape.length > DIMENSIONS_MAX ||
    !shape.every(size => Number.isSafeInteger(size) && size > 0)
  ) {
    throw new Error(`tensor ${name}: shape [${shape}] is not one to ${DIMENSIONS_MAX} positive integers`)
  }
}

function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

function paddingBytes(length: number): number {
  return (ALIGNMENT_BYTES - (length % ALIGNMENT_BYTES)) % ALIGNMENT_BYTES
}

/** Collects bytes; grows as needed. */
class ByteSink {
  #buffer = new Uint8Array(1 << 16)
  #view = new DataView(this.#buffer.buffer)
  #length = 0

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.#length)
    this.#length += bytes.length
  }

  string(text: string): void {
    const bytes = new TextEncoder().encode(text)
    this.big('uint64', BigInt(bytes.length))
    this.bytes(bytes)
  }

  number(type: SmallNumber, value: number): void {
    const { bits, min, max } = RANGE[type]
    const fits = min === undefined ? Number.isFinite(value) : Number.isInteger(value) && value >= min && value <= max
    if (!fits) throw new Error(`${value} does not fit ${type}`)
    this.#reserve(bits / 8)
    const at = this.#length
    const view = this.#view
    if (type === 'uint8') view.setUint8(at, value)
    else if (type === 'int8') view.setInt8(at, value)
    else if (type === 'uint16') view.setUint16(at, value, true)
    else if (type === 'int16') view.setInt16(at, value, true)
    else if (type === 'uint32') view.setUint32(at, value, true)
    else if (type === 'int32') view.setInt32(at, value, true)
    else if (type === 'float32') view.setFloat32(at, value, true)
    else view.setFloat64(at, value, true)
    this.#length += bits / 8
  }

  big(type: 'uint64' | 'int64', value: bigint): void {
    const wrapped = type === 'uint64' ? BigInt.asUintN(64, value) : BigInt.asIntN(64, value)
    if (wrapped !== value) throw new Error(`${value} does not fit ${type}`)
    this.#reserve(8)
    this.#view.setBigUint64(this.#length, BigInt.asUintN(64, value), true)
    this.#length += 8
  }

  take(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }

  #reserve(more: number): void {
    const needed = this.#length + more
    if (needed <= this.#buffer.length) return
    const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2))
    grown.set(this.#buffer.subarray(0, this.#length))
    this.#buffer = grown
    this.#view = new DataView(grown.buffer)
  }
}

/** Width of each small number, and for integers the inclusive bounds. */
const RANGE: Record<SmallNumber, { bits: number; min?: number; max: number }> = {
  uint8: { bits: 8, min: 0, max: 0xff },
  int8: { bits: 8, min: -0x80, max: 0x7f },
  uint16: { bits: 16, min: 0, max: 0xffff },
  int16: { bits: 16, min: -0x8000, max: 0x7fff },
  uint32: { bits: 32, min: 0, max: 0xffff_ffff },
  int32: { bits: 32, min: -0x8000_0000, max: 0x7fff_ffff },
  float32: { bits: 32, max: Number.MAX_VALUE },
  float64: { bits: 64, max: Number.MAX_VALUE },
}
