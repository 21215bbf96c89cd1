import type { ProviderFormat } from '../provider-format.ts'

/** The activity export: one row for each generation. Reasoning is within completion, cached within prompt. */
export const openrouter: ProviderFormat = {
  source: 'the activity page, export of generations',
  columns: {
    time: ['created_at', 'date'],
    model: ['model_permaslug', 'model'],
    key: ['api_key_name', 'api_key'],
    input: ['tokens_prompt', 'prompt_tokens'],
    cached_input: ['tokens_cached', 'cached_tokens'],
    output: ['tokens_completion', 'completion_tokens'],
    cost: ['cost_total', 'cost', 'usage'],
  },
  rowIsRequest: true,
}
