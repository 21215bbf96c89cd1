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

/**
 * Joins the pieces of a list of thoughts as they came: texts, summaries and data of one type and index grow, and what comes later of a
 * thought, such as its signature, is added. A piece without an index stands for itself.
 */
export function joinedDetails(pieces: readonly unknown[]): JsonObject[] {
  const details: JsonObject[] = []
  addDetails(details, pieces)
  return details
}

/** Adds pieces to a list as `joinedDetails` joins them. */
export function addDetails(details: JsonObject[], pieces: readonly unknown[]): void {
  for (const piece of pieces) {
    if (!isObject(piece)) continue
    const at = details.findIndex(
      ({ index, type }) => index !== undefined && index === piece.index && type === piece.type,
    )
    const before = details[at]
    if (before === undefined) details.push({ ...piece })
    else details[at] = joined(before, piece)
  }
}

function joined(before: JsonObject, piece: JsonObject): JsonObject {
  const said = Object.entries(piece).filter(([, value]) => value !== null && value !== undefined)
  const after: JsonObject = { ...before, ...Object.fromEntries(said) }
  for (const field of PIECES) {
    const [first, more] = [before[field], piece[field]]
    if (typeof first === 'string' && typeof more === 'string') after[field] = first + more
  }
  return after
}
