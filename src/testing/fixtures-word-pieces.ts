import { FIXTURE_WORDS } from './fixtures-vocabulary.ts'

/** A vocabulary of word pieces as GGUF holds it: pieces that begin a word start with `▁`. */
export interface WordPieces {
  readonly tokens: readonly string[]
  /** GGUF's `tokenizer.ggml.token_type` of each token. */
  readonly types: readonly number[]
  /** @throws Error for a text that is no token. */
  idOf(text: string): number
}

const NORMAL = 1
const UNKNOWN = 2
const CONTROL = 3

/**
 * BERT's kind of vocabulary: five special tokens, every printable ASCII character as the beginning and, but for punctuation, as the
 * rest of a word, and the words of the other fixtures whole. Letters are lower case, as the tokenizer makes them.
 */
export function buildWordPieces(): WordPieces {
  const pieces = new Map<string, number>()
  const add = (text: string, type: number): void => {
    if (!pieces.has(text)) pieces.set(text, type)
  }
  for (const text of ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']) add(text, text === '[UNK]' ? UNKNOWN : CONTROL)
  for (let code = 0x21; code < 0x7f; code++) {
    const character = String.fromCharCode(code)
    if (/[A-Z]/.test(character)) continue
    add(`▁${character}`, NORMAL)
    if (/[a-z0-9]/.test(character)) add(character, NORMAL)
  }
  for (const word of FIXTURE_WORDS) if (/^[a-z]+$/.test(word)) add(`▁${word}`, NORMAL)
  const tokens = [...pieces.keys()]
  const ids = new Map(tokens.map((text, id) => [text, id]))
  return {
    tokens,
    types: [...pieces.values()],
    idOf(text) {
      const id = ids.get(text)
      if (id === undefined) throw new Error(`${text} is not a token of this vocabulary`)
      return id
    },
  }
}
