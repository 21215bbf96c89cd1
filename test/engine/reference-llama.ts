import { llamaFixture } from '../../src/testing/fixtures-llama.ts'
import { add, attention, dot, logSoftmax, ReferenceWeights } from './reference-arithmetic.ts'

/**
 * The llama fixture computed a second time, with none of llama.cpp's code: what its log probabilities are to be held against. Slow, and
 * right by being short (arXiv 2302.13971; grouped-query attention, arXiv 2305.13245).
 */
export class ReferenceLlama {
  readonly #weights = new ReferenceWeights(llamaFixture())

  /** For each token the logarithm of the probability of every token of the vocabulary to come next. */
  logprobs(tokens: readonly number[]): number[][] {
    const weights = this.#weights
    const heads = this.#number('attention.head_count')
    const size = this.#number('embedding_length') / heads
    let stream = tokens.map(token => weights.row('token_embd.weight', token))
    for (let layer = 0; layer < this.#number('block_count'); layer++) {
      const name = (part: string): string => `blk.${layer}.${part}.weight`
      const rows = stream.map(row => this.#norm(name('attn_norm'), row))
      const attended = attention(
        rows.map((row, place) => this.#rotated(weights.times(name('attn_q'), row), place, size)),
        rows.map((row, place) => this.#rotated(weights.times(name('attn_k'), row), place, size)),
        rows.map(row => weights.times(name('attn_v'), row)),
        heads,
        place => place + 1,
      )
      stream = stream.map((row, place) => add(row, weights.times(name('attn_output'), attended[place] as number[])))
      stream = stream.map(row => add(row, this.#feedForward(this.#norm(name('ffn_norm'), row), name)))
    }
    return stream.map(row => logSoftmax(weights.times('output.weight', this.#norm('output_norm.weight', row))))
  }

  /** Turns each pair of neighbours by an angle that grows with the place. */
  #rotated(row: readonly number[], place: number, size: number): number[] {
    const out = [...row]
    for (let start = 0; start < row.length; start += 2) {
      const angle = place * this.#number('rope.freq_base') ** (-(start % size) / size)
      const [a, b] = [row[start] as number, row[start + 1] as number]
      out[start] = a * Math.cos(angle) - b * Math.sin(angle)
      out[start + 1] = a * Math.sin(angle) + b * Math.cos(angle)
    }
    return out
  }

  #feedForward(row: readonly number[], name: (part: string) => string): number[] {
    const gate = this.#weights.times(name('ffn_gate'), row)
    const up = this.#weights.times(name('ffn_up'), row)
    return this.#weights.times(
      name('ffn_down'),
      gate.map((value, index) => (value / (1 + Math.exp(-value))) * (up[index] as number)),
    )
  }

  #norm(name: string, row: readonly number[]): number[] {
    const weights = this.#weights.row(name)
    const scale = 1 / Math.sqrt(dot(row, row) / row.length + this.#number('attention.layer_norm_rms_epsilon'))
    return row.map((value, index) => value * scale * (weights[index] as number))
  }

  #number(key: string): number {
    return this.#weights.number(`llama.${key}`)
  }
}
