import type { ProviderFormat } from '../provider-format.ts'

/** The export of the usage page: one row for each day (or hour), project, key and model. Its costs are in a file of their own. */
export const openai: ProviderFormat = {
  source: 'the usage page, Export, completions; columns as seen in published exports of 2025',
  columns: {
    time: ['start_time_iso', 'start_time'],
    model: ['model'],
    key: ['api_key_name', 'api_key_id'],
    requests: ['num_model_requests'],
    input: ['input_tokens'],
    cached_input: ['input_cached_tokens'],
    output: ['output_tokens'],
    cost: ['amount_value', 'cost'],
  },
}
