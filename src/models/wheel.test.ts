import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { temporaryFolder, wheelBytes } from './test-support.ts'
import { listWheel, readWheelMember } from './wheel.ts'

const CONTENT = Buffer.from('headrace '.repeat(5_000))

async function readBack(bytes: Uint8Array): Promise<Record<string, string>> {
  await using folder = await temporaryFolder()
  const wheel = path.join(folder.path, 'x.whl')
  await writeFile(wheel, bytes)
  const found: Record<string, string> = {}
  for (const member of await listWheel(wheel)) {
    const chunks: Buffer[] = []
    for await (const chunk of readWheelMember(wheel, member)) chunks.push(chunk)
    found[member.name] = Buffer.concat(chunks).toString()
  }
  return found
}

test('files come out of a wheel as they went in, packed or not', async () => {
  const members = { 'a/b.txt': CONTENT, 'empty.txt': Buffer.alloc(0) }
  const expected = { 'a/b.txt': CONTENT.toString(), 'empty.txt': '' }
  assert.deepEqual(await readBack(wheelBytes(members)), expected)
  assert.deepEqual(await readBack(wheelBytes(members, false)), expected)
})

test('a damaged wheel is refused', async () => {
  const whole = wheelBytes({ 'a.txt': CONTENT }, false)
  const flipped = Buffer.from(whole)
  flipped[100] = 0x21
  await assert.rejects(readBack(flipped), /a\.txt fails its checksum/)
  await assert.rejects(readBack(whole.subarray(0, whole.length - 30)), /no zip archive, or was cut short/)
  await assert.rejects(readBack(Buffer.alloc(10)), /no zip archive/)
  const packed = wheelBytes({ 'a.txt': CONTENT })
  packed.fill(0xff, 35, 60)
  await assert.rejects(readBack(packed), /does not unpack|fails its checksum/)
})
