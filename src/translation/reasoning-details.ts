import type { JsonObject } from '../inference/request.ts'
import { isObject } from '../wire/json-object.ts'

/*
 * What a provider says of its reasoning beside the text: signatures, and parts that only it can read. In chats it travels in
 * `reasoning_details`, OpenRouter's list; some providers want it back unchanged before they go on.
 */

/** Reasoning as it is sealed. */
export interface PackedReasoning {
  readonly text: string
  readonly details: readonly JsonObject[]
}

/** Reasoning in one text. */
export function packReasoning({ text, details }: PackedReasoning): string {
  return JSON.stringify(details.length === 0 ? { text } : { text, details })
}

/** What `packReasoning` made; anything else is plain text. */
export function unpackReasoning(packed: string): PackedReasoning {
  try {
    const { text, details } = JSON.parse(packed)
    if (typeof text === 'string') return { text, details: Array.isArray(details) ? details.filter(isObject) : [] }
  } catch {}
  return { text: packed, details: [] }
}

/** Texts of a detail that come in pieces. */
const PIECES = ['text', 'summary', 'data'] as const

/** Adds pieces to a list: those of the same index and type are one detail, whose texts are joined and whose other fields are the last. */
export function addDetails(details: JsonObject[], pieces: readonly unknown[]): void {
  for (const piece of pieces) {
    if (!isObject(piece)) continue
    const at = details.findIndex(
      ({ index, type }) => index !== undefined && index === piece.index && type === piece.type,
    )
    const before = details[at]
    if (before === undefined) {
      details.push(piece)
      continue
    }
    const joined: JsonObject = { ...before, ...piece }
    for (const field of PIECES) {
      if (typeof before[field] === 'string' && typeof piece[field] === 'string')
        joined[field] = before[field] + piece[field]
    }
    details[at] = joined
  }
}
