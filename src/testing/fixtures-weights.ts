import type { Vocabulary } from './fixtures-vocabulary.ts'
import type { GgufTensor } from './gguf-writer.ts'

/**
 * Random weights, the same on every machine and in every run.
 *
 * A plain random model would end its answer at once, or emit halves of characters. So dimension 0 of the residual stream is
 * kept for a constant: each embedding holds it, no layer writes to it, and the output matrix turns it into a bias per token.
 * Dimensions 1 and 2 are kept for marks in the same way: a token that has a follower sets one, and it makes that follower
 * all but certain.
 */

/** Size of the constant in dimension 0 of every embedding, whose other entries have a standard deviation of 1. */
const CONSTANT = 4

/** Size of a mark, and the logit that it gives the follower. */
const MARK = 8
const FOLLOWER_LOGIT = 40

/** Dimensions of the residual stream that no layer writes to. */
const RESERVED = 3

/** Standard deviation of the logits that the weights make, beside the bias: enough to vary, too little to defeat the bias. */
const LOGIT_DEVIATION = 1.6

/** Makes tensors whose values depend on the seed and the tensor's own name alone, so that adding one changes no other. */
export class WeightMaker {
  readonly #seed: number

  constructor(seed: number) {
    this.#seed = seed
  }

  /** A matrix for `y = W x`, shape [inputs, outputs, ...], scaled so that inputs of deviation 1 give outputs of `gain`. */
  matrix(
    name: string,
    shape: readonly [number, number, ...number[]],
    options: { gain?: number; type?: 'f16' | 'f32' } = {},
  ): GgufTensor {
    const deviation = (options.gain ?? 1) / Math.sqrt(shape[0])
    return tensor(name, options.type ?? 'f16', shape, () => this.#draw(name, shape, deviation))
  }

  /** A matrix that writes to the residual stream: as {@link matrix}, but it leaves the reserved dimensions alone. */
  writer(name: string, shape: readonly [number, number, ...number[]], gain: number): GgufTensor {
    const [inputs, outputs] = shape
    return tensor(name, 'f16', shape, () => {
      const values = this.#draw(name, shape, gain / Math.sqrt(inputs))
      for (let start = 0; start < values.length; start += inputs * outputs)
        values.fill(0, start, start + RESERVED * inputs)
      return values
    })
  }

  /** A vector or table around `mean`, in 32 bit. */
  vector(name: string, shape: readonly number[], mean: number, deviation: number): GgufTensor {
    return tensor(name, 'f32', shape, () => this.#draw(name, shape, deviation).map(value => value + mean))
  }

  /** Token embeddings, with the constant and the marks. */
  embedding(name: string, width: number, vocabulary: Vocabulary): GgufTensor {
    const shape = [width, vocabulary.tokens.length]
    return tensor(name, 'f16', shape, () => {
      const values = this.#draw(name, shape, 1)
      vocabulary.tokens.forEach((_, id) => {
        values[id * width] = CONSTANT
        values.fill(0, id * width + 1, id * width + RESERVED)
      })
      for (const { dimension, id } of marks(vocabulary)) values[id * width + dimension] = MARK
      return values
    })
  }

  /**
   * The output matrix, which reads the bias per token off the constant, and the followers off the marks. `constantLeft` is what the final norm leaves of the
   * constant: the less, the more the layers write. It was chosen by the share of quotation marks that a model then emits.
   */
  output(name: string, width: number, vocabulary: Vocabulary, constantLeft: number): GgufTensor {
    const shape = [width, vocabulary.tokens.length]
    return tensor(name, 'f16', shape, () => {
      const values = this.#draw(name, shape, LOGIT_DEVIATION / Math.sqrt(width))
      vocabulary.tokens.forEach(({ kind, logitBias }, id) => {
        // Only words take part in chance: what stands between them keeps its likelihood in every context, so that a string
        // in a JSON answer is sure to close.
        if (kind !== 'word') values.fill(0, id * width, (id + 1) * width)
        values[id * width] = logitBias / constantLeft
        values.fill(0, id * width + 1, id * width + RESERVED)
      })
      const markLeft = (MARK / CONSTANT) * constantLeft
      for (const { dimension, followerId } of marks(vocabulary)) {
        values[followerId * width + dimension] = FOLLOWER_LOGIT / markLeft
      }
      return values
    })
  }

  /** A table of `rows` rows of `columns` distinct integers below `bound`. */
  distinctIntegers(name: string, columns: number, rows: number, bound: number): GgufTensor {
    return {
      name,
      type: 'i32',
      shape: [columns, rows],
      data: () => {
        const next = generator(this.#seed, name)
        const values = new Int32Array(columns * rows)
        for (let row = 0; row < rows; row++) {
          const left = Array.from({ length: bound }, (_, value) => value)
          for (let column = 0; column < columns; column++) {
            values[row * columns + column] = left.splice(Math.floor(next() * left.length), 1)[0] as number
          }
        }
        return values
      },
    }
  }

  #draw(name: string, shape: readonly number[], deviation: number): Float32Array {
    const next = generator(this.#seed, name)
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1))
    // Uniform rather than normal: the same deviation at a fraction of the time, and no transcendental function whose last
    // bit might differ between machines.
    const width = deviation * Math.sqrt(12)
    for (let index = 0; index < values.length; index++) values[index] = (next() - 0.5) * width
    return values
  }
}

/** The dimension that each token with a follower marks. */
function marks(vocabulary: Vocabulary): { dimension: number; id: number; followerId: number }[] {
  const found = vocabulary.tokens.flatMap(({ follower }, id) =>
    follower === undefined ? [] : { id, followerId: vocabulary.idOf(follower) },
  )
  if (found.length >= RESERVED)
    throw new Error(`${found.length} tokens have a follower; there are dimensions for ${RESERVED - 1}`)
  return found.map((mark, index) => ({ ...mark, dimension: index + 1 }))
}

function tensor(name: string, type: 'f16' | 'f32', shape: readonly number[], values: () => Float32Array): GgufTensor {
  return { name, type, shape, data: type === 'f16' ? () => new Float16Array(values()) : values }
}

/** Numbers in [0, 1) from a seed and a name: FNV-1a of the name starts Mulberry32 (both are published, public-domain recipes). */
function generator(seed: number, name: string): () => number {
  let state = seed ^ 0x811c9dc5
  for (let index = 0; index < name.length; index++) state = Math.imul(state ^ name.charCodeAt(index), 0x01000193)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
}
