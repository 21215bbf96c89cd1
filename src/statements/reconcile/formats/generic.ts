import type { ProviderFormat } from '../provider-format.ts'

/** Plain titles, for a file that was made by hand or whose columns are mapped. */
export const generic: ProviderFormat = {
  source: 'plain titles, or a column map',
  columns: {
    time: ['time', 'date', 'day'],
    model: ['model'],
    key: ['key', 'api_key'],
    requests: ['requests'],
    input: ['input', 'input_tokens', 'prompt_tokens'],
    cached_input: ['cached_input', 'cached_input_tokens', 'cached_tokens'],
    output: ['output', 'output_tokens', 'completion_tokens'],
    cost: ['cost', 'cost_usd'],
  },
}
