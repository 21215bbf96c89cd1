/**
 * `npm run fixture -- <llama|deepseek4|fim|embedding|reranker|projector> [folder]` writes a model of random weights as GGUF: it talks nonsense, and runs the real
 * engine, cache and charges of its architecture without a download.
 */
import { mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { ensureFixture, FIXTURE_NAMES } from '../src/testing/fixtures.ts'

const [name, folder = '.'] = process.argv.slice(2)
const known = FIXTURE_NAMES.find(each => each === name)
if (known === undefined) {
  process.stderr.write(`npm run fixture -- <${FIXTURE_NAMES.join('|')}> [folder]\n`)
  process.exit(2)
}
mkdirSync(resolve(folder), { recursive: true })
process.stdout.write(`${await ensureFixture(known, resolve(folder))}\n`)
