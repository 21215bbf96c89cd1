import { llamaFixture } from '../../src/testing/fixtures-llama.ts'

/**
 * The llama fixture computed a second time, in plain loops over 64-bit numbers and with none of llama.cpp's code: what its log
 * probabilities are to be held against. Slow, and right by being short (arXiv 2302.13971; grouped-query attention, arXiv 2305.13245).
 */
export class ReferenceLlama {
  readonly #tensors: ReadonlyMap<
    string,
    { readonly shape: readonly number[]; readonly data: Iterable<number> & ArrayLike<number> }
  >
  readonly #number: (key: string) => number

  constructor() {
    const { metadata, tensors } = llamaFixture()
    this.#tensors = new Map(tensors.map(({ name, shape, data }) => [name, { shape, data: data() }]))
    this.#number = key => Number((metadata as Record<string, { value: unknown }>)[`llama.${key}`]?.value)
  }

  /** For each token the logarithm of the probability of every token of the vocabulary to come next. */
  logprobs(tokens: readonly number[]): number[][] {
    const width = this.#number('embedding_length')
    const embedding = this.#tensor('token_embd.weight').data
    let stream = tokens.map(token =>
      Array.from({ length: width }, (_, index) => embedding[token * width + index] as number),
    )
    for (let layer = 0; layer < this.#number('block_count'); layer++) {
      const name = (part: string): string => `blk.${layer}.${part}.weight`
      const attended = this.#attention(
        stream.map(row => this.#norm(name('attn_norm'), row)),
        name,
      )
      stream = stream.map((row, place) => add(row, this.#times(name('attn_output'), attended[place] as number[])))
      stream = stream.map(row => add(row, this.#feedForward(this.#norm(name('ffn_norm'), row), name)))
    }
    return stream.map(row => logSoftmax(this.#times('output.weight', this.#norm('output_norm.weight', row))))
  }

  #attention(rows: readonly number[][], name: (part: string) => string): number[][] {
    const heads = this.#number('attention.head_count')
    const shared = heads / this.#number('attention.head_count_kv')
    const size = this.#number('embedding_length') / heads
    const queries = rows.map((row, place) => this.#rotated(this.#times(name('attn_q'), row), place, size))
    const keys = rows.map((row, place) => this.#rotated(this.#times(name('attn_k'), row), place, size))
    const values = rows.map(row => this.#times(name('attn_v'), row))
    return rows.map((_, place) => {
      const out: number[] = []
      for (let head = 0; head < heads; head++) {
        const from = Math.floor(head / shared) * size
        const query = (queries[place] as number[]).slice(head * size, (head + 1) * size)
        const scores = keys.slice(0, place + 1).map(key => dot(query, key.slice(from, from + size)) / Math.sqrt(size))
        const weights = logSoftmax(scores).map(Math.exp)
        for (let index = 0; index < size; index++) {
          out.push(weights.reduce((sum, weight, other) => sum + weight * (values[other]?.[from + index] as number), 0))
        }
      }
      return out
    })
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
    const gate = this.#times(name('ffn_gate'), row)
    const up = this.#times(name('ffn_up'), row)
    return this.#times(
      name('ffn_down'),
      gate.map((value, index) => (value / (1 + Math.exp(-value))) * (up[index] as number)),
    )
  }

  #norm(name: string, row: readonly number[]): number[] {
    const { data } = this.#tensor(name)
    const scale = 1 / Math.sqrt(dot(row, row) / row.length + this.#number('attention.layer_norm_rms_epsilon'))
    return row.map((value, index) => value * scale * (data[index] as number))
  }

  #times(name: string, row: readonly number[]): number[] {
    const { shape, data } = this.#tensor(name)
    const [inputs, outputs] = shape as [number, number]
    return Array.from({ length: outputs }, (_, output) => {
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

function add(a: readonly number[], b: readonly number[]): number[] {
  return a.map((value, index) => value + (b[index] as number))
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] as number), 0)
}

function logSoftmax(logits: readonly number[]): number[] {
  const most = Math.max(...logits)
  const total = most + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0))
  return logits.map(logit => logit - total)
}
