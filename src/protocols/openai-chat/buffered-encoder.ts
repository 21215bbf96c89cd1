import type { ApiError } from '../../errors.ts'
import type { FinishReason, TokenLogprob, ToolCallDelta } from '../../inference/event.ts'
import type { JsonObject } from '../../inference/request.ts'
import { AssertionFailure } from '../../std/assert.ts'
import { customInput } from '../../translation/custom-function.ts'
import { joinedDetails } from '../../translation/reasoning-details.ts'
import { Choices } from '../choices.ts'
import { type AnswerEncoder, type AnswerTotals, type EventOf, NO_BYTES } from '../protocol.ts'
import { withoutReasoning } from '../reasoning-details.ts'
import type { StreamHead } from '../stream-encoder.ts'
import { serviceTierJson, usageJson } from '../usage-json.ts'
import type { CallStyle } from './custom-tools.ts'
import { chatLogprobsField } from './logprobs.ts'
import { callIdPrefix } from './stream-encoder.ts'

/** What stays the same in the answer, whoever writes it. */
export type BufferedHead = Omit<StreamHead, 'object'>

interface Message {
  content: string
  hasContent: boolean
  reasoning: string
  refusal: string | null
  readonly toolCalls: Map<number, { id: string; name: string; arguments: string }>
  readonly logprobs: TokenLogprob[]
  readonly reasoningLogprobs: TokenLogprob[]
  hasLogprobs: boolean
  readonly extra: Map<string, unknown>
  finish: FinishReason | null
  native: string | undefined
}

/** A chat answer in one JSON body (`chat.completion`), gathered from deltas. */
export class ChatBufferedEncoder implements AnswerEncoder {
  readonly contentType = 'application/json'
  readonly #head: BufferedHead
  readonly #choices: Choices
  readonly #messages: Message[]
  readonly #style: CallStyle & { readonly hidesReasoning?: boolean }

  constructor(head: BufferedHead, choiceCount: number, style: CallStyle & { readonly hidesReasoning?: boolean }) {
    this.#head = head
    this.#choices = new Choices(choiceCount)
    this.#messages = Array.from({ length: choiceCount }, emptyMessage)
    this.#style = style
  }

  get finished(): boolean {
    return this.#choices.finished
  }

  started(): void {}

  delta(whole: EventOf<'delta'>): Uint8Array {
    const event = this.#style.hidesReasoning === true ? withoutReasoning(whole) : whole
    const message = this.#message(event.choice)
    if (event.content !== undefined) {
      message.content += event.content
      message.hasContent = true
    }
    if (event.reasoning !== undefined) message.reasoning += event.reasoning
    if (event.refusal !== undefined) message.refusal = (message.refusal ?? '') + event.refusal
    if (event.toolCalls !== undefined) for (const call of event.toolCalls) addToolCall(message, call)
    if (event.logprobs !== undefined) {
      message.hasLogprobs = true
      message.logprobs.push(...event.logprobs)
    }
    if (event.reasoningLogprobs !== undefined) message.reasoningLogprobs.push(...event.reasoningLogprobs)
    if (event.extra !== undefined) addExtra(message, event.extra)
    return NO_BYTES
  }

  frame(): Uint8Array {
    throw new AssertionFailure('a buffered answer cannot pass frames')
  }

  finish(choice: number, reason: FinishReason, native?: string): Uint8Array {
    if (this.#choices.finish(choice)) Object.assign(this.#message(choice), { finish: reason, native })
    return NO_BYTES
  }

  finishOpen(reason: FinishReason): Uint8Array {
    for (const choice of this.#choices.open()) this.finish(choice, reason)
    return NO_BYTES
  }

  complete(totals: AnswerTotals): Uint8Array {
    const { id, createdS, model, form } = this.#head
    const choices = this.#messages.map((message, index) => this.#choiceJson(message, index)).join(',')
    return Buffer.from(
      `{"id":${JSON.stringify(id)},"object":"chat.completion","created":${createdS},"model":${JSON.stringify(model)}${form.head}${form.body},"choices":[${choices}],"usage":${usageJson(totals, form)}${serviceTierJson(totals)}}`,
    )
  }

  error(error: ApiError): Uint8Array {
    const own = this.#head.form.error?.(error)
    return Buffer.from(JSON.stringify(own === undefined ? error.toOpenAi() : { error: own }))
  }

  #message(choice: number): Message {
    const message = this.#messages[choice]
    if (message === undefined) throw new AssertionFailure(`choice ${choice} was never asked for`)
    return message
  }

  #choiceJson(message: Message, index: number): string {
    const { extra, toolCalls, reasoning, logprobs, reasoningLogprobs } = message
    const { form } = this.#head
    const body: JsonObject = {
      role: 'assistant',
      // Null beside tool calls, as OpenAI sends it; an answer without anything is the empty string.
      content: message.hasContent || toolCalls.size === 0 ? message.content : null,
      refusal: message.refusal,
    }
    if (reasoning !== '') {
      body.reasoning_content = reasoning
      body.reasoning = reasoning
    }
    if (toolCalls.size > 0) this.#putToolCalls(body, message, index)
    for (const [key, value] of extra) {
      if (key === 'reasoning_details' && Array.isArray(value)) body[key] = joinedDetails(value)
      else if (!(key in body)) body[key] = value
    }
    const logprobsJson = chatLogprobsField(
      message.hasLogprobs ? logprobs : undefined,
      reasoningLogprobs.length > 0 ? reasoningLogprobs : undefined,
    )
    // Joined as text: what a form adds is text.
    const details = reasoning === '' || extra.has('reasoning_details') ? '' : form.reasoning(reasoning)
    const messageJson = `${JSON.stringify(body).slice(0, -1)}${details}}`
    const reason = message.finish === 'tool_calls' && this.#style.asFunctionCall ? 'function_call' : message.finish
    const ended = message.finish === null ? '' : form.finish(message.finish, message.native)
    return `{"index":${index},"message":${messageJson},"logprobs":${logprobsJson},"finish_reason":${JSON.stringify(reason)}${ended}}`
  }

  #putToolCalls(body: JsonObject, message: Message, index: number): void {
    const calls = [...message.toolCalls].sort(([a], [b]) => a - b)
    if (this.#style.asFunctionCall) {
      const [, { name, arguments: text }] = calls[0] as (typeof calls)[0]
      body.function_call = { name, arguments: text }
      return
    }
    body.tool_calls = calls.map(([callIndex, call]) => ({
      id: call.id === '' ? `${callIdPrefix(this.#head.id)}${index}_${callIndex}` : call.id,
      ...(this.#style.customTools.has(call.name)
        ? { type: 'custom', custom: { name: call.name, input: customInput(call.arguments) } }
        : { type: 'function', function: { name: call.name, arguments: call.arguments } }),
    }))
  }
}

function emptyMessage(): Message {
  return {
    content: '',
    hasContent: false,
    reasoning: '',
    refusal: null,
    toolCalls: new Map(),
    logprobs: [],
    reasoningLogprobs: [],
    hasLogprobs: false,
    extra: new Map(),
    finish: null,
    native: undefined,
  }
}

function addToolCall(message: Message, delta: ToolCallDelta): void {
  const call = message.toolCalls.get(delta.index)
  if (call === undefined) {
    message.toolCalls.set(delta.index, { id: delta.id ?? '', name: delta.name ?? '', arguments: delta.arguments })
    return
  }
  if (call.id === '') call.id = delta.id ?? ''
  if (call.name === '') call.name = delta.name ?? ''
  call.arguments += delta.arguments
}

/** Pieces of unknown fields are joined as the known ones are: text and lists grow, anything else is replaced. */
function addExtra(message: Message, extra: JsonObject): void {
  for (const [key, piece] of Object.entries(extra)) {
    const before = message.extra.get(key)
    if (typeof before === 'string' && typeof piece === 'string') message.extra.set(key, before + piece)
    else if (Array.isArray(before) && Array.isArray(piece)) message.extra.set(key, [...before, ...piece])
    else message.extra.set(key, piece)
  }
}
