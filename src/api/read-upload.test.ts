import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../errors.ts'
import type { Upload } from '../files/upload.ts'
import { readUpload } from './read-upload.ts'

/** An upload that keeps its bytes in memory, and what became of it. */
class MemoryUpload {
  readonly chunks: Buffer[] = []
  abandoned = false
  readonly bytesMax: number

  constructor(bytesMax = 1e9) {
    this.bytesMax = bytesMax
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString()
  }

  async write(chunk: Buffer): Promise<void> {
    assert.ok(!this.abandoned, 'nothing is written after the end')
    if (Buffer.concat(this.chunks).length + chunk.length > this.bytesMax)
      throw new ApiError('file_too_large', 'Too large.')
    await new Promise(resolve => setImmediate(resolve))
    this.chunks.push(Buffer.from(chunk))
  }

  async abandon(): Promise<void> {
    this.abandoned = true
  }
}

const part = (name: string, content: string, filename?: string) =>
  `--b\r\ncontent-disposition: form-data; name="${name}"${filename === undefined ? '' : `; filename="${filename}"`}\r\n\r\n${content}\r\n`
const END = '--b--\r\n'

/** A request whose body comes in pieces of so many bytes. */
function requestOf(body: string, pieceBytes = 1e9, type = 'multipart/form-data; boundary=b'): Request {
  const bytes = Buffer.from(body)
  let at = 0
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= bytes.length) controller.close()
      else controller.enqueue(bytes.subarray(at, at + pieceBytes))
      at += pieceBytes
    },
  })
  return new Request('http://localhost/', {
    ...{ method: 'POST', body: stream, duplex: 'half', headers: { 'content-type': type } },
  } as RequestInit)
}

async function check(
  body: string,
  expected: string,
  { pieceBytes = 1e9, type = undefined as string | undefined } = {},
) {
  const upload = new MemoryUpload(100_000)
  let begun = false
  const begin = async () => {
    begun = true
    return upload as unknown as Upload
  }
  const seen = await readUpload(requestOf(body, pieceBytes, type), begin).then(
    ({ filename, fields }) => `${filename}=${upload.text} ${[...fields].map(pair => pair.join('=')).join(' ')}`,
    error => `${error.status} ${error.code} ${error.param}`,
  )
  assert.equal(seen, expected)
  assert.equal(upload.abandoned, begun && seen.startsWith('4'))
}

test('a form is read whatever the order of its parts and wherever its bytes are cut', async () => {
  const file = part('file', 'a\r\nb', 'in.jsonl')
  const purpose = part('purpose', 'batch')
  for (let pieceBytes = 1; pieceBytes < 60; pieceBytes++) {
    await check(file + purpose + END, 'in.jsonl=a\r\nb purpose=batch', { pieceBytes })
    await check(purpose + file + END, 'in.jsonl=a\r\nb purpose=batch', { pieceBytes })
  }
  await check(part('file', '', '../../etc/ä') + END, 'ä= ')
})

test('a form that was cut anywhere is refused, and nothing of it stays', async () => {
  const whole = part('file', 'content', 'f') + part('purpose', 'batch') + END
  for (let length = 0; length < whole.length - 4; length++) {
    const upload = new MemoryUpload()
    let begun = false
    const reading = readUpload(requestOf(whole.slice(0, length)), async () => {
      begun = true
      return upload as unknown as Upload
    })
    await assert.rejects(reading, { status: 400 }, `cut at ${length}`)
    assert.equal(upload.abandoned, begun, `cut at ${length}`)
  }
  // What the parser has to say after that has to have somebody who hears it.
  for (let turn = 0; turn < 5; turn++) await new Promise(resolve => setImmediate(resolve))
})

test('a file that is refused in the middle ends the reading', async () => {
  await check(part('file', 'x'.repeat(200_000), 'f') + END, '413 file_too_large null', { pieceBytes: 1000 })
  const refusal = new ApiError('file_storage_full', 'Full.')
  const reading = readUpload(requestOf(part('file', 'x', 'f') + END), () => Promise.reject(refusal))
  await assert.rejects(reading, refusal)
})

test('what is no such form is told so', async () => {
  await check('{}', '415 unsupported_media_type null', { type: 'application/json' })
  await check('', '415 unsupported_media_type null', { type: 'multipart/form-data' })
  await check('', '415 unsupported_media_type null', { type: 'multipart/form-data; x="boundary=y"' })
  await check(part('purpose', 'batch') + END, '400 missing_required_parameter file')
  await check(part('other', 'x', 'f') + END, '400 invalid_value file')
  await check('nonsense', '400 invalid_value null')
})

test('a name may be left out, and is cut between characters', async () => {
  const nameless =
    '--b\r\ncontent-disposition: form-data; name="file"\r\ncontent-type: application/octet-stream\r\n\r\nx\r\n'
  await check(nameless + END, '=x ')
  const name = `${'a'.repeat(254)}\u{1f600}.jsonl`
  const { filename } = await readUpload(
    requestOf(part('file', 'x', name) + END),
    async () => new MemoryUpload() as unknown as Upload,
  )
  // As a header of the content says it, which takes no half of a character.
  assert.equal(encodeURIComponent(filename), `${'a'.repeat(254)}%EF%BF%BD`)
})
