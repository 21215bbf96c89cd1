import type { InferenceRequest } from '../../inference/request.ts'
import { assert } from '../../std/assert.ts'
import { answerId } from '../answer-id.ts'
import { GatheredEncoder } from '../gathered-encoder.ts'
import { inputUsageJson } from '../input-usage-json.ts'
import type { AnswerTotals, EventOf } from '../protocol.ts'
import { Scores } from '../scores.ts'

/** Documents by their relevance, the most relevant first; equal ones in the order in which they were sent. */
export class RerankEncoder extends GatheredEncoder {
  readonly #scores: Scores
  readonly #documents: readonly string[]
  readonly #id: string
  readonly #model: string
  readonly #top: number
  readonly #withDocuments: boolean
  readonly #withCost: boolean

  constructor(request: InferenceRequest, publicModel: string) {
    super(request.surface ?? 'openai', request.id)
    assert(request.input.kind === 'rerank', 'a rerank answers rerank requests')
    const { documents } = request.input
    const { top_n, return_documents } = request.sent ?? {}
    this.#scores = new Scores(documents.length)
    this.#documents = documents
    this.#id = answerId('rerank', request.id)
    this.#model = publicModel
    this.#top = typeof top_n === 'number' ? top_n : documents.length
    this.#withDocuments = return_documents === true
    this.#withCost = request.surface === 'openrouter'
  }

  score(event: EventOf<'score'>): void {
    this.#scores.take(event)
  }

  protected override bodyText(totals: AnswerTotals): string {
    const results = this.#scores
      .all()
      .map((relevance_score, index) => ({ index, relevance_score }))
      .sort((a, b) => b.relevance_score - a.relevance_score || a.index - b.index)
      .slice(0, this.#top)
      .map(result => (this.#withDocuments ? { ...result, document: { text: this.#documents[result.index] } } : result))
    const head = `{"id":${JSON.stringify(this.#id)},"object":"rerank","model":${JSON.stringify(this.#model)}`
    // Cohere's clients read what was billed from `meta`, all others from `usage`.
    const meta = { billed_units: { search_units: totals.usage.searchUnits ?? 0 } }
    return `${head},"results":${JSON.stringify(results)},"usage":${inputUsageJson(totals, this.#withCost)},"meta":${JSON.stringify(meta)}}`
  }
}
