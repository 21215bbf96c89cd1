import type { GgufContent } from '../../src/testing/gguf-writer.ts'

/** The tensors and numbers of a generated model, and the arithmetic of references: plain loops over 64-bit numbers. */
export class ReferenceWeights {
  readonly #tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: ArrayLike<number> }>
  readonly #metadata: GgufContent['metadata']

  constructor({ metadata, tensors }: GgufContent) {
    this.#tensors = new Map(tensors.map(({ name, shape, data }) => [name, { shape, data: data() }]))
    this.#metadata = metadata
  }

  /** A number of the metadata, 0 when it is not there. */
  number(key: string): number {
    return Number((this.#metadata as Record<string, { value: unknown } | undefined>)[key]?.value ?? 0)
  }

  /** A vector, or one row of a table. */
  row(name: string, index = 0): number[] {
    const { shape, data } = this.#tensor(name)
    const width = shape[0] as number
    return Array.from({ length: width }, (_, column) => data[index * width + column] as number)
  }

  /** `W x`. */
  times(name: string, row: readonly number[]): number[] {
    const { shape, data } = this.#tensor(name)
    const inputs = shape[0] as number
    return Array.from({ length: shape[1] ?? 1 }, (_, output) => {
      let sum = 0
      for (let input = 0; input < inputs; input++)
        sum += (row[input] as number) * (data[output * inputs + input] as number)
      return sum
    })
  }

  #tensor(name: string) {
    const found = this.#tensors.get(name)
    if (found === undefined) throw new Error(`the fixture has no tensor ${name}`)
    return found
  }
}

/**
 * Attention of many heads; query heads share those of keys and values when these are fewer.
 *
 * @param reach how many of the keys, from the first, the query at a place sees.
 */
export function attention(
  queries: readonly number[][],
  keys: readonly number[][],
  values: readonly number[][],
  heads: number,
  reach: (place: number) => number,
): number[][] {
  const size = (queries[0]?.length ?? 0) / heads
  const shared = (queries[0]?.length ?? 0) / (keys[0]?.length ?? 1)
  return queries.map((row, place) => {
    const out: number[] = []
    for (let head = 0; head < heads; head++) {
      const from = Math.floor(head / shared) * size
      const query = row.slice(head * size, (head + 1) * size)
      const scores = keys.slice(0, reach(place)).map(key => dot(query, key.slice(from, from + size)) / Math.sqrt(size))
      const weights = logSoftmax(scores).map(Math.exp)
      for (let index = from; index < from + size; index++) {
        out.push(weights.reduce((sum, weight, other) => sum + weight * (values[other]?.[index] as number), 0))
      }
    }
    return out
  })
}

export function add(a: readonly number[], b: readonly number[]): number[] {
  return a.map((value, index) => value + (b[index] as number))
}

export function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] as number), 0)
}

export function logSoftmax(logits: readonly number[]): number[] {
  const most = Math.max(...logits)
  const total = most + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0))
  return logits.map(logit => logit - total)
}
