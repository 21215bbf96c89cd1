/**
 * The vocabulary that the fixture models share: byte-level BPE with every byte as a token, so that any text can be tokenized,
 * and a few hundred merges that build common words, so that tokens and bytes differ as they do in a real model.
 */

/** A token and how likely the fixture models make it: a logit added to its random one. */
export interface VocabularyToken {
  readonly text: string
  readonly kind: 'byte' | 'part' | 'word' | 'control' | 'markup'
  readonly logitBias: number
  /** The text of the token that all but surely comes after this one. At most two tokens of a vocabulary have one. */
  readonly follower?: string
}

/** Tokens in the order of their ids, and the merges in the order of their ranks. */
export interface Vocabulary {
  readonly tokens: readonly VocabularyToken[]
  /** Each is two token texts with a space between, as GGUF wants them. */
  readonly merges: readonly string[]
  /** @throws Error for a text that is no token. */
  idOf(text: string): number
}

/** A token outside the text: `control` is never shown, `markup` is (as DeepSeek's `<think>`). */
export interface SpecialToken {
  readonly text: string
  readonly kind: 'control' | 'markup'
  /** Unsaid, it is all but impossible. */
  readonly logitBias?: number
  readonly follower?: string
}

/** Token types of GGUF's `tokenizer.ggml.token_type`. */
export const TOKEN_TYPE_CODE = { byte: 1, part: 1, word: 1, control: 3, markup: 4 } as const

/** All but impossible, yet finite: a grammar may still force such a token (the end of the sequence after a closed JSON value). */
const NEVER = -14

// The models babble in these words. A few hold characters of two to four bytes of UTF-8, so that streams carry such too; as
// they are whole tokens, the text is valid after each of them.
export const FIXTURE_WORDS: readonly string[] = (
  'the of and to in is it that was for on are with as be at one have this from or had by not but what all were when we there can ' +
  'an your which their said if do will each about how up out them then she many some so these would other into has more her two ' +
  'like him see time could no make than first been its who now people my made over did down only way find use may water long ' +
  'little very after words called just where most know river wheel stone mill light turns runs under bridge green morning quiet ' +
  'through valley north wind carries grain slow deep clear café naïve 水 流れ ⚙️'
).split(' ')

/**
 * Likelihood of what stands between words, each some percent of an answer, so that a string in a JSON answer closes after
 * some dozens of tokens. White space is rarer than the signs of JSON, or a grammar that allows both would yield blank lines.
 */
const PUNCTUATION_BIAS: Readonly<Record<string, number>> = { ',': 2.5, '.': 2.5, '"': 2.5, '\n': -4, '\t': -9, ' ': -6 }

/** The vocabulary with `specials` behind the bytes and the words. Always the same for the same specials. */
export function buildVocabulary(specials: readonly SpecialToken[]): Vocabulary {
  const ids = new Map<string, number>()
  const tokens: VocabularyToken[] = []
  const merges: string[] = []
  const add = (token: VocabularyToken): void => {
    if (ids.has(token.text)) throw new Error(`token ${token.text} occurs twice`)
    ids.set(token.text, tokens.length)
    tokens.push(token)
  }
  for (let byte = 0; byte < 256; byte++) add({ text: letterOfByte(byte), kind: 'byte', logitBias: byteBias(byte) })

  const words = new Set(FIXTURE_WORDS.map(word => lettersOf(` ${word}`)))
  for (const word of words) {
    const letters = [...word]
    for (let length = 2; length <= letters.length; length++) {
      const text = letters.slice(0, length).join('')
      if (ids.has(text)) continue
      merges.push(`${letters.slice(0, length - 1).join('')} ${letters[length - 1]}`)
      add(words.has(text) ? { text, kind: 'word', logitBias: 0 } : { text, kind: 'part', logitBias: NEVER })
    }
  }
  for (const special of specials) add({ ...special, logitBias: special.logitBias ?? NEVER })
  return {
    tokens,
    merges,
    idOf(text) {
      const id = ids.get(text)
      if (id === undefined) throw new Error(`${text} is not a token of this vocabulary`)
      return id
    },
  }
}

function byteBias(byte: number): number {
  const character = String.fromCharCode(byte)
  const chosen = PUNCTUATION_BIAS[character]
  if (chosen !== undefined) return chosen
  if ('{}[]:0123456789'.includes(character)) return -3
  // Printable ASCII stays in reach of a grammar; half of a character of UTF-8 does not.
  return byte > 0x20 && byte < 0x7f ? -5 : NEVER
}

/** The text's bytes of UTF-8, each as the letter that stands for it in a byte-level vocabulary. */
function lettersOf(text: string): string {
  return Array.from(new TextEncoder().encode(text), letterOfByte).join('')
}

/**
 * The letter that stands for a byte in a byte-level BPE vocabulary, as GPT-2 defined it: printable Latin-1 stands for itself,
 * and the other bytes, in order, for the characters from U+0100 on (a space becomes U+0120).
 */
export function letterOfByte(byte: number): string {
  return LETTERS[byte] as string
}

const LETTERS: readonly string[] = (() => {
  let next = 0x100
  return Array.from({ length: 256 }, (_, byte) => {
    const standsForItself = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae
    return String.fromCharCode(standsForItself ? byte : next++)
  })
})()
