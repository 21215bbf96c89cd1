import { isObject } from '../wire/json-object.ts'
import type { EventOf } from './protocol.ts'

type Delta = EventOf<'delta'>

/** A delta without what the model thought, for clients that do not want to read it. */
export function withoutReasoning(event: Delta): Delta {
  const { reasoning: _, reasoningLogprobs: _logprobs, extra, ...rest } = event
  if (extra === undefined) return rest
  const { reasoning_details: _details, ...others } = extra
  return Object.keys(others).length === 0 ? rest : { ...rest, extra: others }
}

/**
 * Joins the pieces of a list of thoughts (OpenRouter's `reasoning_details`) as they came in deltas: texts, summaries and data of one type
 * and index grow, what comes later of a thought, such as its signature, is added.
 */
export function joinedDetails(pieces: readonly unknown[]): unknown[] {
  const joined: unknown[] = []
  const byPlace = new Map<string, Record<string, unknown>>()
  for (const piece of pieces) {
    if (!isObject(piece)) {
      joined.push(piece)
      continue
    }
    const place = `${String(piece.type)} ${String(piece.index)}`
    const before = byPlace.get(place)
    if (before === undefined) {
      const copy = { ...piece }
      byPlace.set(place, copy)
      joined.push(copy)
      continue
    }
    for (const [key, value] of Object.entries(piece)) {
      const grows = key === 'text' || key === 'summary' || key === 'data'
      if (grows && typeof before[key] === 'string' && typeof value === 'string') before[key] += value
      else if (value !== null && value !== undefined) before[key] = value
    }
  }
  return joined
}
