import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { gguf } from '@huggingface/gguf'
import { type GgufContent, type GgufTensor, type GgufValue, tensorBytes, writeGguf } from './gguf-writer.ts'

let dir: string
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'headrace-gguf-'))
})
after(() => rm(dir, { recursive: true }))

const TENSORS: GgufTensor[] = [
  { name: 'odd', type: 'f32', shape: [3], data: () => Float32Array.of(1, 2, 3) },
  { name: 'half', type: 'f16', shape: [2, 2], data: () => Float16Array.of(0.5, -1, 65504, 0) },
  { name: 'ids', type: 'i32', shape: [1, 2, 1, 2], data: () => Int32Array.of(-1, 2, 3, 4) },
]

/** Writes one metadata value and reads it back with an independent parser. */
async function checkValue(value: GgufValue, read: unknown = value.value): Promise<void> {
  const path = join(dir, 'value.gguf')
  await writeGguf(path, { metadata: { 'test.key': value, 'test.after': { type: 'uint8', value: 7 } }, tensors: [] })
  const { metadata } = await gguf(path, { allowLocalFile: true })
  const found = metadata as unknown as Record<string, unknown>
  assert.deepEqual(found['test.key'], read, value.type)
  assert.equal(found['test.after'], 7, `what follows a ${value.type}`)
}

test('metadata of every type is read back by another parser', async () => {
  await checkValue({ type: 'uint8', value: 255 })
  await checkValue({ type: 'int8', value: -128 })
  await checkValue({ type: 'uint16', value: 65_535 })
  await checkValue({ type: 'int16', value: -32_768 })
  await checkValue({ type: 'uint32', value: 4_294_967_295 })
  await checkValue({ type: 'int32', value: -2_147_483_648 })
  await checkValue({ type: 'float32', value: 0.5 })
  await checkValue({ type: 'float64', value: Math.PI })
  await checkValue({ type: 'uint64', value: 2n ** 64n - 1n })
  await checkValue({ type: 'int64', value: -(2n ** 63n) })
  await checkValue({ type: 'bool', value: true })
  await checkValue({ type: 'bool', value: false })
  await checkValue({ type: 'string', value: '' })
  await checkValue({ type: 'string', value: 'wörld 水 🛶' })
  await checkValue({ type: 'array', of: 'string', value: ['a', '', '水'] })
  await checkValue({ type: 'array', of: 'int32', value: [1, -2] })
  await checkValue({ type: 'array', of: 'bool', value: [true, false] })
  await checkValue({ type: 'array', of: 'uint32', value: [] })
  // Longer than the first buffer, so that the header has to grow.
  await checkValue({
    type: 'array',
    of: 'string',
    value: Array.from({ length: 20_000 }, (_, index) => `token ${index}`),
  })
})

test('tensors start at multiples of the alignment and hold what was given', async () => {
  const path = join(dir, 'tensors.gguf')
  await writeGguf(path, { metadata: {}, tensors: TENSORS })
  const { tensorInfos, tensorDataOffset } = await gguf(path, { allowLocalFile: true })
  assert.deepEqual(
    tensorInfos.map(({ name, shape, dtype, offset }) => ({
      name,
      shape: shape.map(Number),
      dtype,
      offset: Number(offset),
    })),
    [
      { name: 'odd', shape: [3], dtype: 0, offset: 0 },
      { name: 'half', shape: [2, 2], dtype: 1, offset: 32 },
      { name: 'ids', shape: [1, 2, 1, 2], dtype: 26, offset: 64 },
    ],
  )
  const start = Number(tensorDataOffset)
  assert.equal(start % 32, 0)
  const data = (await readFile(path)).subarray(start)
  assert.equal(data.length, 96)
  assert.deepEqual(
    [0, 4, 8].map(at => data.readFloatLE(at)),
    [1, 2, 3],
  )
  assert.deepEqual(
    [32, 34, 36, 38].map(at => data.readUInt16LE(at)),
    [0x3800, 0xbc00, 0x7bff, 0],
  )
  assert.deepEqual(
    [64, 68, 72, 76].map(at => data.readInt32LE(at)),
    [-1, 2, 3, 4],
  )
  assert.deepEqual(TENSORS.map(tensorBytes), [12, 8, 16])
})

test('what cannot be written is refused with the reason, and leaves no file', async () => {
  const empty = await mkdtemp(join(dir, 'refused-'))
  const check = (content: Partial<GgufContent>, reason: RegExp) =>
    assert.rejects(writeGguf(join(empty, 'refused.gguf'), { metadata: {}, tensors: [], ...content }), reason)
  const tensor = (changes: Partial<GgufTensor>) => ({ tensors: [{ ...(TENSORS[0] as GgufTensor), ...changes }] })

  await check({ metadata: { 'a.b': { type: 'uint8', value: 256 } } }, /^Error: metadata a\.b: 256 does not fit uint8$/)
  await check({ metadata: { 'a.b': { type: 'int32', value: 0.5 } } }, /0\.5 does not fit int32/)
  await check({ metadata: { 'a.b': { type: 'float32', value: Number.NaN } } }, /NaN does not fit float32/)
  await check({ metadata: { 'a.b': { type: 'uint64', value: -1n } } }, /-1 does not fit uint64/)
  await check({ metadata: { 'a.b': { type: 'array', of: 'uint16', value: [1, 65_536] } } }, /65536 does not fit uint16/)
  await check(tensor({ shape: [] }), /tensor odd: shape \[\] is not one to 4 positive integers/)
  await check(tensor({ shape: [1, 1, 1, 1, 3] }), /is not one to 4 positive integers/)
  await check(tensor({ shape: [3, 0] }), /is not one to 4 positive integers/)
  await check(tensor({ shape: [4] }), /tensor odd: shape \[4\] needs 4 elements, got 3/)
  await check(tensor({ type: 'f16' }), /tensor odd: type f16 needs its data as Float16Array/)
  await check(tensor({ name: 'x'.repeat(64) }), /longer than 63 bytes/)
  await check({ tensors: [...TENSORS, TENSORS[0] as GgufTensor] }, /tensor odd occurs twice/)
  assert.deepEqual(await readdir(empty), [])
})
