import type { InferenceRequest } from '../../inference/request.ts'
import { assert } from '../../std/assert.ts'
import { GatheredEncoder } from '../gathered-encoder.ts'
import type { AnswerTotals, EventOf } from '../protocol.ts'
import { Scores } from '../scores.ts'
import { Vectors, vectorJson } from '../vectors.ts'
import { statusJson } from './status-json.ts'

/** Embeddings as DeepInfra's native API answers them: a list of lists in the order of the inputs. */
export class InferenceEmbeddingsEncoder extends GatheredEncoder {
  readonly #vectors: Vectors
  readonly #requestId: string

  constructor(request: InferenceRequest) {
    super('deepinfra', request.id)
    assert(request.input.kind === 'embed', 'embeddings answer embed requests')
    const { inputs, dimensions } = request.input
    this.#vectors = new Vectors(inputs.length, { dimensions, normalize: request.sent?.normalize === true })
    this.#requestId = request.id
  }

  embedding(event: EventOf<'embedding'>): void {
    this.#vectors.take(event)
  }

  protected override bodyText(totals: AnswerTotals): string {
    const embeddings = this.#vectors.all().map(vectorJson).join(',')
    return `{"embeddings":[${embeddings}],"input_tokens":${totals.usage.inputTokens},${statusJson(this.#requestId, totals)}}`
  }
}

/** A rerank as DeepInfra's native API answers it: scores in the order of the documents. */
export class InferenceRerankEncoder extends GatheredEncoder {
  readonly #scores: Scores
  readonly #requestId: string

  constructor(request: InferenceRequest) {
    super('deepinfra', request.id)
    assert(request.input.kind === 'rerank', 'a rerank answers rerank requests')
    this.#scores = new Scores(request.input.documents.length)
    this.#requestId = request.id
  }

  score(event: EventOf<'score'>): void {
    this.#scores.take(event)
  }

  protected override bodyText(totals: AnswerTotals): string {
    const scores = JSON.stringify(this.#scores.all())
    return `{"scores":${scores},"input_tokens":${totals.usage.inputTokens},${statusJson(this.#requestId, totals)}}`
  }
}
