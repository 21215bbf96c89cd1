import type { ProviderFormat } from '../provider-format.ts'

/**
 * One row for each model and class of tokens, with units and cost in cents, under the field names of its usage API (`/payment/usage`); no
 * description of a CSV is published, so a file with other titles wants a column map.
 */
export const deepinfra: ProviderFormat = {
  source: 'field names of its usage API',
  columns: {
    time: ['date', 'day', 'time', 'created_at'],
    model: ['model_name', 'model'],
    key: ['api_key_name', 'api_token', 'api_key'],
    requests: ['requests', 'num_requests'],
    cost: ['cost_usd', 'cost_cents', 'cost'],
  },
  centColumns: ['cost', 'cost_cents'],
  byClass: {
    class: ['pricing_type', 'type'],
    units: ['units', 'tokens'],
    names: {
      input_tokens: 'input',
      cached_input_tokens: 'cached_input',
      cached_tokens: 'cached_input',
      output_tokens: 'output',
    },
  },
  inputExcludesCached: true,
}
