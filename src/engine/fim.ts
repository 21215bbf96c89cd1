import { FIM_MARKS, FIM_NAMES, type FimMark } from '../gguf/fim-tokens.ts'
import type { Binding } from './binding.ts'

/** How the marks of a fill-in-the-middle prompt are written. */
export type FimMarks = Readonly<Record<FimMark, string>>

/**
 * The model's marks: the tokens that its file names, else those of its vocabulary that are spelled as one. Undefined unless there are all
 * three.
 */
export async function findFimMarks(
  binding: Binding,
  named: Readonly<Partial<Record<FimMark, number>>>,
): Promise<FimMarks | undefined> {
  const found = await Promise.all(FIM_MARKS.map(mark => findMark(binding, FIM_NAMES[mark], named[mark])))
  if (found.includes(undefined)) return undefined
  return Object.fromEntries(FIM_MARKS.map((mark, index) => [mark, found[index]])) as FimMarks
}

async function findMark(
  binding: Binding,
  names: readonly string[],
  named: number | undefined,
): Promise<string | undefined> {
  if (named !== undefined) {
    const text = await binding.detokenize([named])
    const [id, ...more] = await binding.tokenize(text)
    if (id === named && more.length === 0) return text
  }
  // Names that are in the vocabulary are one token each; any other text of this length is several.
  for (const name of names) if ((await binding.tokenize(name)).length === 1) return name
  return undefined
}
