import { isObject } from '../../wire/json-object.ts'
import type { EventOf } from '../protocol.ts'

/** What an upstream says of its thinking beside the text of it, in `reasoning_details` (OpenRouter's form). */
export interface ThoughtMarks {
  /** The signature that ends the thought so far. */
  readonly signature?: string
  /** Thoughts that only their maker can read. */
  readonly redacted: readonly string[]
}

const NONE: ThoughtMarks = Object.freeze({ redacted: Object.freeze([]) })

/** Reads the marks of a delta. */
export function thoughtMarks({ extra }: EventOf<'delta'>): ThoughtMarks {
  const details = extra?.reasoning_details
  if (!Array.isArray(details)) return NONE
  let signature: string | undefined
  const redacted: string[] = []
  for (const detail of details) {
    if (!isObject(detail)) continue
    if (detail.type === 'reasoning.text' && typeof detail.signature === 'string' && detail.signature !== '')
      signature = detail.signature
    else if (detail.type === 'reasoning.encrypted' && typeof detail.data === 'string') redacted.push(detail.data)
  }
  return { signature, redacted }
}
