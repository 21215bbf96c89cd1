import { embeddingFixture, rerankerFixture } from '../../src/testing/fixtures-bert.ts'
import { add, attention, dot, ReferenceWeights } from './reference-arithmetic.ts'

/** The bert fixtures computed a second time, with none of llama.cpp's code (arXiv 1810.04805). */
export class ReferenceBert {
  readonly #weights: ReferenceWeights

  constructor(fixture: 'embedding' | 'reranker') {
    this.#weights = new ReferenceWeights(fixture === 'embedding' ? embeddingFixture() : rerankerFixture())
  }

  /** Mean of the tokens' vectors, at length 1. */
  vector(tokens: readonly number[]): number[] {
    const rows = this.#encode(tokens)
    const mean = rows.reduce(add).map(value => value / rows.length)
    const length = Math.sqrt(dot(mean, mean))
    return mean.map(value => value / length)
  }

  /** What the head makes of the first token's vector. */
  score(tokens: readonly number[]): number {
    const first = this.#encode(tokens)[0] as number[]
    const hidden = this.#linear('cls', first).map(Math.tanh)
    return this.#linear('cls.output', hidden)[0] as number
  }

  #encode(tokens: readonly number[]): number[][] {
    const weights = this.#weights
    const type = weights.row('token_types.weight')
    let stream = tokens.map((token, place) => {
      const placed = add(weights.row('token_embd.weight', token), weights.row('position_embd.weight', place))
      return this.#norm('token_embd_norm', add(placed, type))
    })
    for (let layer = 0; layer < weights.number('bert.block_count'); layer++) {
      const name = (part: string): string => `blk.${layer}.${part}`
      const attended = attention(
        stream.map(row => this.#linear(name('attn_q'), row)),
        stream.map(row => this.#linear(name('attn_k'), row)),
        stream.map(row => this.#linear(name('attn_v'), row)),
        weights.number('bert.attention.head_count'),
        () => tokens.length,
      )
      stream = stream.map((row, place) => {
        const between = add(row, this.#linear(name('attn_output'), attended[place] as number[]))
        const normed = this.#norm(name('attn_output_norm'), between)
        const widened = this.#linear(name('ffn_up'), normed).map(gelu)
        return this.#norm(name('layer_output_norm'), add(normed, this.#linear(name('ffn_down'), widened)))
      })
    }
    return stream
  }

  #linear(name: string, row: readonly number[]): number[] {
    return add(this.#weights.times(`${name}.weight`, row), this.#weights.row(`${name}.bias`))
  }

  #norm(name: string, row: readonly number[]): number[] {
    const mean = row.reduce((sum, value) => sum + value, 0) / row.length
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length
    const weights = this.#weights.row(`${name}.weight`)
    const scaled = row.map(
      (value, index) => ((value - mean) / Math.sqrt(variance + 1e-12)) * (weights[index] as number),
    )
    return add(scaled, this.#weights.row(`${name}.bias`))
  }
}

/** With the hyperbolic tangent, as llama.cpp has it (arXiv 1606.08415, section 2). */
function gelu(value: number): number {
  return 0.5 * value * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3)))
}
