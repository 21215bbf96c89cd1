import type { JsonObject, Surface } from '../inference/request.ts'

/**
 * The answer to `GET /v1/models`. Anthropic's clients page by the keys beside `data`; all models are on one page, so nothing follows.
 * OpenAI's keys stay, since both families ask at the same address.
 */
export function modelList(models: readonly JsonObject[], surface: Surface): JsonObject {
  const data = models.map(model => modelAnswer(model, surface))
  if (surface !== 'anthropic') return { object: 'list', data }
  return { object: 'list', data, has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null }
}

/** One model (`modelObject`) as a family of clients reads it. */
export function modelAnswer(model: JsonObject, surface: Surface): JsonObject {
  if (surface !== 'anthropic') return model
  return {
    ...model,
    type: 'model',
    display_name: model.name,
    created_at: new Date((model.created as number) * 1000).toISOString(),
    max_input_tokens: model.context_length,
    max_tokens: model.max_output_tokens,
    // Ours are written otherwise; null is that API's word for "not told".
    capabilities: null,
    lifecycle: 'active',
    line: null,
    deprecated_at: null,
    retires_at: null,
  }
}
