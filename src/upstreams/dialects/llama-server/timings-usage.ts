import type { JsonObject } from '../../../inference/request.ts'
import { isObject } from '../../../wire/json-object.ts'
import { readCount } from '../../usage/read-count.ts'
import type { UsageReport, UsageWire } from '../../usage/usage-report.ts'

/**
 * llama-server's `timings` (tools/server/README.md): `prompt_n` tokens of the prompt were computed, `cache_n` came out of the
 * cache, `predicted_n` were generated. Builds before `cache_n` say nothing about the whole prompt: `prompt_n` alone is what
 * happened to be new, so the input is then unknown.
 */
export const llamaTimings: UsageWire = {
  read(raw: unknown): UsageReport | undefined {
    if (!isObject(raw)) return undefined
    const computed = readCount(raw.prompt_n)
    const cached = readCount(raw.cache_n)
    const output = readCount(raw.predicted_n)
    const input = computed === undefined || cached === undefined ? undefined : computed + cached
    if (input === undefined && output === undefined) return undefined
    return { claims: { input, cached, output } }
  },
  reportIn(frame: JsonObject): UsageReport | undefined {
    return llamaTimings.read(frame.timings)
  },
}
