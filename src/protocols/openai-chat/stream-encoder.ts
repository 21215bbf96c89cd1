import type { FinishReason, ToolCallDelta } from '../../inference/event.ts'
import { type EventOf, NO_BYTES } from '../protocol.ts'
import { withoutReasoning } from '../reasoning-details.ts'
import { emptyFinish, StreamEncoder, type StreamHead } from '../stream-encoder.ts'
import { type CallStyle, CustomCalls } from './custom-tools.ts'
import { chatLogprobsField } from './logprobs.ts'

/** A streamed chat answer: a role chunk opens each choice, deltas follow, a chunk with the finish reason ends it. */
export class ChatStreamEncoder extends StreamEncoder {
  readonly #opened = new Set<number>()
  /** `choice:index` of tool calls whose id and name the client has. */
  readonly #calls = new Set<string>()
  readonly #asFunctionCall: boolean
  readonly #custom: CustomCalls
  readonly #callIdPrefix: string

  readonly #hidesReasoning: boolean

  constructor(
    head: StreamHead,
    choiceCount: number,
    includeUsage: boolean,
    style: CallStyle & { readonly hidesReasoning?: boolean },
  ) {
    super(head, choiceCount, includeUsage)
    this.#hidesReasoning = style.hidesReasoning === true
    this.#asFunctionCall = style.asFunctionCall
    this.#custom = new CustomCalls(style.customTools)
    this.#callIdPrefix = callIdPrefix(head.id)
  }

  delta(whole: EventOf<'delta'>): Uint8Array {
    const event = this.#hidesReasoning ? withoutReasoning(whole) : whole
    const { choice, logprobs, reasoningLogprobs } = event
    let fields = ''
    if (event.content !== undefined) fields = `,"content":${JSON.stringify(event.content)}`
    if (event.reasoning !== undefined) {
      // Under both names: half of the clients read only the one, half only the other.
      const reasoning = JSON.stringify(event.reasoning)
      fields += `,"reasoning_content":${reasoning},"reasoning":${reasoning}`
      if (event.extra?.reasoning_details === undefined) fields += this.form.reasoning(event.reasoning)
    }
    if (event.refusal !== undefined) fields += `,"refusal":${JSON.stringify(event.refusal)}`
    const calls = event.toolCalls === undefined ? undefined : this.#custom.take(choice, event.toolCalls)
    if (calls !== undefined && calls.length > 0) fields += this.#toolCallFields(choice, calls)
    for (const key in event.extra) fields += `,${JSON.stringify(key)}:${JSON.stringify(event.extra[key] ?? null)}`
    // Tokens without text: a cut character, or a marker that the template hides.
    if (fields === '' && logprobs === undefined && reasoningLogprobs === undefined) return NO_BYTES
    const logprobsJson = chatLogprobsField(logprobs, reasoningLogprobs)
    return Buffer.from(
      `${this.#opening(choice)}${this.prefix()}{"index":${choice},"delta":{${fields.slice(1)}},"logprobs":${logprobsJson},"finish_reason":null}]}\n\n`,
    )
  }

  protected override finishText(choice: number, reason: FinishReason, native?: string): string {
    const word = reason === 'tool_calls' && this.#asFunctionCall ? 'function_call' : reason
    const head = this.#opening(choice) + this.#customCalls(choice)
    return `${head}${this.prefix()}{"index":${choice},"delta":{},"logprobs":null,"finish_reason":"${word}"${this.form.finish(reason, native)}}]}\n\n`
  }

  protected override emptyText(choice: number, reason: 'error' | null): string {
    return `{"index":${choice},"delta":{"content":""}${emptyFinish(reason, this.form)}}`
  }

  /** The frame of the calls of custom tools, which are known when the choice ends. */
  #customCalls(choice: number): string {
    const calls = this.#custom.calls(choice).map(({ index, id, name, input }) => ({
      ...{ index, id: id ?? `${this.#callIdPrefix}${choice}_${index}`, type: 'custom', custom: { name, input } },
    }))
    if (calls.length === 0) return ''
    return `${this.prefix()}{"index":${choice},"delta":{"tool_calls":${JSON.stringify(calls)}},"logprobs":null,"finish_reason":null}]}\n\n`
  }

  #opening(choice: number): string {
    if (this.framesPassed || this.#opened.has(choice)) return ''
    this.#opened.add(choice)
    return `${this.prefix()}{"index":${choice},"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]}\n\n`
  }

  /** The first piece of a call carries id, type and name, later ones must not: clients take that for another call. */
  #toolCallFields(choice: number, toolCalls: readonly ToolCallDelta[]): string {
    let json = ''
    for (const call of toolCalls) {
      const key = `${choice}:${call.index}`
      const first = !this.#calls.has(key) && (call.name !== undefined || !this.framesPassed)
      if (first) this.#calls.add(key)
      const name = first ? `"name":${JSON.stringify(call.name ?? '')},` : ''
      const called = `{${name}"arguments":${JSON.stringify(call.arguments)}}`
      if (this.#asFunctionCall) return `,"function_call":${called}`
      const id = first
        ? `"id":${JSON.stringify(call.id ?? `${this.#callIdPrefix}${choice}_${call.index}`)},"type":"function",`
        : ''
      json += `,{"index":${call.index},${id}"function":${called}}`
    }
    return `,"tool_calls":[${json.slice(1)}]`
  }
}

/** Ids for tool calls whose upstream gives none; unique because the answer's id is. */
export function callIdPrefix(answerId: string): string {
  return `call_${answerId.slice(answerId.indexOf('-') + 1)}_`
}
