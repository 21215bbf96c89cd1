import type { InferenceRequest } from '../../inference/request.ts'
import { assert } from '../../std/assert.ts'
import { GatheredEncoder } from '../gathered-encoder.ts'
import { inputUsageJson } from '../input-usage-json.ts'
import type { AnswerTotals, EventOf } from '../protocol.ts'
import { serviceTierJson } from '../usage-json.ts'
import { Vectors, vectorBase64, vectorJson } from '../vectors.ts'

/** A list of vectors as OpenAI's embeddings answer it. */
export class EmbeddingsEncoder extends GatheredEncoder {
  readonly #vectors: Vectors
  readonly #model: string
  readonly #base64: boolean
  readonly #withCost: boolean

  constructor(request: InferenceRequest, publicModel: string) {
    super(request.surface ?? 'openai', request.id)
    assert(request.input.kind === 'embed', 'embeddings answer embed requests')
    this.#vectors = new Vectors(request.input.inputs.length, { dimensions: request.input.dimensions })
    this.#model = publicModel
    this.#base64 = request.body.encoding_format === 'base64'
    this.#withCost = request.surface === 'openrouter'
  }

  embedding(event: EventOf<'embedding'>): void {
    this.#vectors.take(event)
  }

  protected override bodyText(totals: AnswerTotals): string {
    const data = this.#vectors.all().map((vector, index) => {
      const embedding = this.#base64 ? `"${vectorBase64(vector)}"` : vectorJson(vector)
      return `{"object":"embedding","index":${index},"embedding":${embedding}}`
    })
    return `{"object":"list","data":[${data.join(',')}],"model":${JSON.stringify(this.#model)},"usage":${inputUsageJson(totals, this.#withCost)}${serviceTierJson(totals)}}`
  }
}
