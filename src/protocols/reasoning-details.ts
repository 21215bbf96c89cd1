import type { EventOf } from './protocol.ts'

type Delta = EventOf<'delta'>

/** A delta without what the model thought, for clients that do not want to read it. */
export function withoutReasoning(event: Delta): Delta {
  const { reasoning: _, reasoningLogprobs: _logprobs, extra, ...rest } = event
  if (extra === undefined) return rest
  const { reasoning_details: _details, ...others } = extra
  return Object.keys(others).length === 0 ? rest : { ...rest, extra: others }
}
