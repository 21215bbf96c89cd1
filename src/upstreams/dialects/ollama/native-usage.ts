import type { JsonObject } from '../../../inference/request.ts'
import { isObject } from '../../../wire/json-object.ts'
import { readCount } from '../../usage/read-count.ts'
import type { UsageReport, UsageWire } from '../../usage/usage-report.ts'

/**
 * Ollama's own API (docs/api.md): the last line, `done: true`, has `prompt_eval_count` (the whole prompt, cached tokens
 * included), `eval_count`, and in newer builds `prompt_eval_cached_count`. Go's `omitempty` leaves zeros out, and builds up to
 * 2024 left `prompt_eval_count` out where the prompt was cached: what is missing is absent, not zero.
 */
export const ollamaNative: UsageWire = {
  read(raw: unknown): UsageReport | undefined {
    if (!isObject(raw)) return undefined
    const input = readCount(raw.prompt_eval_count)
    const output = readCount(raw.eval_count)
    if (input === undefined && output === undefined) return undefined
    return { claims: { input, cached: readCount(raw.prompt_eval_cached_count), output } }
  },
  reportIn(frame: JsonObject): UsageReport | undefined {
    return frame.done === true ? ollamaNative.read(frame) : undefined
  },
}
