import fc from 'fast-check'
import type { FinishReason, InferenceEvent } from '../../inference/event.ts'
import type { JsonObject } from '../../inference/request.ts'
import { USAGE_ABSENT } from '../../inference/usage.ts'
import type { AnswerEncoder, AnswerTotals, DecodeContext } from '../protocol.ts'
import { createOpenAiResponses } from './codec.ts'
import type { ResponsesRequest } from './decode.ts'
import { createReasoningSeal } from './reasoning-seal.ts'

/** A codec that keeps responses for a day and seals. */
export const CODEC = createOpenAiResponses({ keepMs: 86_400_000, seal: createReasoningSeal(Buffer.alloc(32, 7)) })

/** Reads a body that needs no look-up, of request `req_X`. */
export function requestOf(fields: JsonObject, context: Partial<DecodeContext> = {}): ResponsesRequest {
  const bytes = Buffer.from(JSON.stringify({ model: 'alias', input: 'Hi', ...fields }))
  return CODEC.decode(bytes, { requestId: 'req_X', surface: 'openai', headers: {}, ...context }) as ResponsesRequest
}

export const TOTALS: AnswerTotals = {
  usage: { ...USAGE_ABSENT, inputTokens: 10, cachedInputTokens: 4, outputTokens: 3, reasoningTokens: 1 },
  chargeNanodollars: 123n,
  completedMs: 1_700_000_005_000,
}

/** What a model says, for encoders. */
export type Said = Extract<InferenceEvent, { type: 'delta' }>

/** Feeds an answer and tells its bytes: those of the deltas, and those that wait for the settlement. */
export function answerOf(
  encoder: AnswerEncoder,
  deltas: readonly Omit<Said, 'type' | 'choice' | 'tokens'>[],
  reason: FinishReason = 'stop',
): { readonly early: string; readonly late: string } {
  const early = deltas.map(fields => encoder.delta({ type: 'delta', choice: 0, tokens: 1, ...fields }))
  const late = [encoder.finish(0, reason), encoder.complete(TOTALS)]
  return { early: Buffer.concat(early).toString(), late: Buffer.concat(late).toString() }
}

/** The data of the events of a stream. */
export function eventsOf(stream: string): (JsonObject & { readonly type: string; readonly sequence_number: number })[] {
  return [...stream.matchAll(/^event: (.*)\ndata: (.*)\n$/gm)].map(([, name, data]) => {
    const event = JSON.parse(data as string)
    if (event.type !== name) throw new Error(`the frame ${name} holds ${event.type}`)
    return event
  })
}

const text = fc.string({ maxLength: 6 })
const NAMES = ['f', 'ns__g', 'c', 'unknown']

/** The tools that the calls below name, as a client declares them. */
export const TOOLS = [
  { type: 'function', name: 'f' },
  { type: 'namespace', name: 'ns', description: '', tools: [{ type: 'function', name: 'g' }] },
  { type: 'custom', name: 'c' },
]

/** Answers of every order: thinking, text, refusals and calls that interleave, whose first piece has id and name as upstreams send it. */
export const SAID: fc.Arbitrary<Omit<Said, 'type' | 'choice' | 'tokens'>[]> = fc
  .array(
    fc.oneof(
      text.map(reasoning => ({ reasoning })),
      text.map(content => ({ content })),
      text.map(refusal => ({ refusal })),
      fc.record({ content: text, reasoning: text }),
      fc.record({ reasoning: text, details: fc.nat(1) }).map(({ reasoning, details }) => ({
        ...(details === 0 && { reasoning }),
        extra: { reasoning_details: [{ type: 'reasoning.encrypted', data: 'x', index: details }] },
      })),
      fc
        .array(fc.record({ index: fc.nat(2), arguments: text }), { minLength: 1, maxLength: 2 })
        .map(toolCalls => ({ toolCalls })),
    ),
    { maxLength: 12 },
  )
  .map(deltas => {
    const begun = new Set<number>()
    return deltas.map(delta => {
      if (!('toolCalls' in delta)) return delta
      const toolCalls = delta.toolCalls.map(call => {
        if (begun.has(call.index)) return call
        begun.add(call.index)
        return { ...call, id: `call_${call.index}`, name: NAMES[call.index] as string }
      })
      return { toolCalls }
    })
  })
