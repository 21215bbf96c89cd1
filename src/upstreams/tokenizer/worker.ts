import { readFileSync, statSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { Tokenizer } from '@huggingface/tokenizers'
import type { CountAsked, Counted } from './messages.ts'

/** Largest file that is read; those of today's vocabularies of 130,000 to 260,000 tokens have 7 to 35 MB. */
const FILE_BYTES_MAX = 64 * 1024 * 1024
/** Each takes 100 to 200 MB; the one unused for longest makes room. */
const LOADED_MAX = 4

const port = parentPort
if (port === null) throw new Error('worker.ts runs in a worker thread')

/** By file, the one used last at the end. */
const loaded = new Map<string, Tokenizer>()

port.on('message', ({ id, file, texts }: CountAsked) => {
  let answer: Counted
  try {
    const tokenizer = load(file)
    let tokens = 0
    for (const text of texts) tokens += tokenizer.encode(text, { add_special_tokens: false }).ids.length
    answer = { id, tokens }
  } catch (error) {
    answer = { id, failure: `${file} is no tokenizer that can count: ${(error as Error).message}` }
  }
  port.postMessage(answer)
})

function load(file: string): Tokenizer {
  const known = loaded.get(file)
  loaded.delete(file)
  if (known === undefined && statSync(file).size > FILE_BYTES_MAX)
    throw new Error(`it is larger than ${FILE_BYTES_MAX} bytes`)
  // What stands in tokenizer_config.json changes special tokens and decoding, which are of no concern here.
  const tokenizer = known ?? new Tokenizer(JSON.parse(readFileSync(file, 'utf8')), {})
  if (loaded.size >= LOADED_MAX) loaded.delete(loaded.keys().next().value as string)
  loaded.set(file, tokenizer)
  return tokenizer
}
