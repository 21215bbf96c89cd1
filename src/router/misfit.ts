import type { Preferences } from '../inference/preferences.ts'
import type { Target } from '../inference/snapshot.ts'

/** Why a target is not one that the client wants, in words for a header and an error; null when it may serve the request. */
export function misfit(target: Target, keepsNoPrompts: boolean, preferences: Preferences): string | null {
  const { only, ignore, order, fallbacks, quantizations } = preferences
  const id = target.upstreamId.toLowerCase()
  if (only !== undefined && !only.includes(id)) return 'not among "only"'
  if (ignore.includes(id)) return 'ignored'
  if (!fallbacks && order.length > 0 && !order.includes(id)) return 'not in "order", and fallbacks are not allowed'
  // Silence about prompts is no promise, and silence about weights no format.
  if (preferences.keepsNoPrompts && !keepsNoPrompts) return 'not declared to keep no prompts'
  if (quantizations !== undefined && !quantizations.includes(target.quantization?.toLowerCase() ?? 'unknown'))
    return `quantization ${target.quantization ?? 'unknown'}`
  return null
}
