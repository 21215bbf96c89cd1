import type { Binding } from './binding.ts'

/**
 * The text that the tokenizer makes exactly these tokens of; undefined when there is none: the tokens end within a character, or are not
 * what the tokenizer would choose. `whole`, when known, is a text that begins with it.
 */
export async function textOfTokens(
  binding: Binding,
  tokens: Int32Array | readonly number[],
  whole?: string,
): Promise<string | undefined> {
  const ids = [...tokens]
  const text = await binding.detokenize(ids)
  for (const candidate of [text, withoutAddedSpace(text, whole)]) {
    if (candidate === undefined || (whole !== undefined && !whole.startsWith(candidate))) continue
    const again = await binding.tokenize(candidate)
    if (again.length === ids.length && ids.every((id, index) => id === again[index])) return candidate
  }
  return undefined
}

/** SentencePiece puts a space before the first word that is no part of the text, behind the mark of the beginning if there is one. */
function withoutAddedSpace(text: string, whole: string | undefined): string | undefined {
  const at = text.indexOf(' ')
  if (at < 0) return undefined
  if (whole !== undefined && !whole.startsWith(text.slice(0, at))) return undefined
  return text.slice(0, at) + text.slice(at + 1)
}
