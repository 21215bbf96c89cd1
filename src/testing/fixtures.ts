import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { access, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { embeddingFixture, rerankerFixture } from './fixtures-bert.ts'
import { deepseek4Fixture } from './fixtures-deepseek4.ts'
import { fimFixture, llamaFixture } from './fixtures-llama.ts'
import { projectorFixture } from './fixtures-projector.ts'
import { type GgufContent, writeGguf } from './gguf-writer.ts'

/** Random-weight models that tests run instead of downloaded ones: small, and the same bytes on every machine. */
const RECIPES = {
  llama: llamaFixture,
  deepseek4: deepseek4Fixture,
  fim: fimFixture,
  embedding: embeddingFixture,
  reranker: rerankerFixture,
  projector: projectorFixture,
} as const satisfies Record<string, () => GgufContent>

/** Names of the fixtures: the architecture that each is an instance of, or what it is for. */
export type FixtureName = keyof typeof RECIPES

/** All fixtures. */
export const FIXTURE_NAMES = Object.keys(RECIPES) as FixtureName[]

/** Those that generate text, one of each architecture. */
export const GENERATING_FIXTURES = ['llama', 'deepseek4'] as const satisfies FixtureName[]

/**
 * Path of a fixture model in `dir`, which is made when missing. The file is written once: its name holds a hash of its
 * metadata and tensors, so another recipe gets another file. Callers at the same time do not disturb each other.
 */
export async function ensureFixture(name: FixtureName, dir: string): Promise<string> {
  const content = RECIPES[name]()
  const path = join(dir, `fixture-${name}-${recipeHash(content)}.gguf`)
  try {
    await access(path)
  } catch {
    await mkdir(dir, { recursive: true })
    await writeGguf(path, content)
  }
  return path
}

/** SHA-256 of a file, in hexadecimal, as a catalogue entry wants it. */
export async function fixtureSha256(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

/** Twelve hexadecimal digits of a SHA-256 over all that the file will hold. */
function recipeHash(content: GgufContent): string {
  const hash = createHash('sha256')
  hash.update(JSON.stringify(content.metadata))
  for (const { name, type, shape, data } of content.tensors) {
    const { buffer, byteOffset, byteLength } = data()
    hash.update(JSON.stringify([name, type, shape])).update(new Uint8Array(buffer, byteOffset, byteLength))
  }
  return hash.digest('hex').slice(0, 12)
}
