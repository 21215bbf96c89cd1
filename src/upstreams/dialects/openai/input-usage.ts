import type { JsonObject } from '../../../inference/request.ts'
import { isObject } from '../../../wire/json-object.ts'
import { readCount } from '../../usage/read-count.ts'
import { unknownFields } from '../../usage/unknown-fields.ts'
import type { UsageReport, UsageWire } from '../../usage/usage-report.ts'
import { openAiChat } from './chat-usage.ts'

/** What is ours to say or said already; Cohere's search units are counted by us. */
const CONSUMED = new Set(['prompt_tokens', 'completion_tokens', 'total_tokens', 'search_units', 'input_tokens'])

/**
 * Usage of embeddings and reranks, which have input alone: as OpenAI's chat wire writes it (vLLM, SGLang, llama-server, TEI), with
 * `total_tokens` alone (Jina), or in Cohere's `meta` (`tokens.input_tokens`, `billed_units.input_tokens`).
 */
export const openAiInput: UsageWire = {
  read(raw: unknown): UsageReport | undefined {
    if (!isObject(raw)) return undefined
    const report = openAiChat.read(raw)
    const input = report?.claims.input ?? readCount(raw.input_tokens) ?? readCount(raw.total_tokens)
    if (input === undefined && report === undefined) return undefined
    const extra = unknownFields(report?.extra, CONSUMED)
    return {
      claims: { input, cached: report?.claims.cached },
      extra,
      costNanodollars: report?.costNanodollars,
    }
  },
  reportIn(answer: JsonObject): UsageReport | undefined {
    const report = openAiInput.read(answer.usage)
    if (report !== undefined || !isObject(answer.meta)) return report
    return openAiInput.read(answer.meta.tokens) ?? openAiInput.read(answer.meta.billed_units)
  },
}
