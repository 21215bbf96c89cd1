import type { InferenceEvent, ToolCallDelta, UpstreamFailure } from '../../../inference/event.ts'
import type { JsonObject } from '../../../inference/request.ts'
import { isObject } from '../../../wire/json-object.ts'
import { failureOfFinish, readFinishReason, readStopSequence } from './finish-reason.ts'
import { readLogprobs, readReasoningLogprobs } from './logprob-reader.ts'
import { estimateTokens } from './token-estimate.ts'

type Delta = Extract<InferenceEvent, { type: 'delta' }>

const KNOWN = new Set(['role', 'content', 'reasoning_content', 'reasoning', 'refusal', 'tool_calls', 'function_call'])

/** Decodes the choices of parsed stream chunks, and remembers of each choice what its end depends on. */
export class ChunkDecoder {
  readonly #toolCallers = new Set<number>()
  readonly #finished = new Set<number>()

  /**
   * The events of a chunk's choices. `tokens` is their exact number of output tokens where the upstream said so, for a
   * chunk of one choice. Answers a failure where a choice ended in one; the events before it still count.
   */
  decode(
    choices: readonly unknown[],
    tokens: number | undefined,
    emit: (event: InferenceEvent) => void,
  ): UpstreamFailure | null {
    for (const choice of choices) {
      if (!isObject(choice)) continue
      const index = choiceIndex(choice)
      const delta = readDelta(choice, index, choices.length === 1 ? tokens : undefined)
      if (delta.toolCalls !== undefined) this.#toolCallers.add(index)
      if (!isBare(delta)) emit(delta)
      if (typeof choice.finish_reason !== 'string') continue
      const failure = failureOfFinish(choice.finish_reason)
      if (failure !== null) return failure
      if (this.#finished.has(index)) continue
      this.#finished.add(index)
      const reason = readFinishReason(choice.finish_reason, this.#toolCallers.has(index))
      // An aggregator behind us tells the word of whoever is behind it.
      const native = text(choice.native_finish_reason) ?? choice.finish_reason
      const stopSequence = reason === 'stop' ? readStopSequence(choice) : undefined
      emit({
        type: 'finish',
        choice: index,
        reason,
        ...(native !== reason && { native }),
        ...(stopSequence !== undefined && { stopSequence }),
      })
    }
    return null
  }

  /**
   * Notes what a chunk says that is going to pass unread. Answers the number of choices that it finishes, a failure, or
   * `decode` where its finish has to be put in other words first.
   */
  observe(choices: readonly unknown[]): number | UpstreamFailure | 'decode' {
    let finishes = 0
    for (const choice of choices) {
      if (!isObject(choice)) return 'decode'
      const index = choiceIndex(choice)
      if (isObject(choice.delta) && hasToolCalls(choice.delta)) this.#toolCallers.add(index)
      const word = choice.finish_reason
      if (typeof word !== 'string') continue
      const failure = failureOfFinish(word)
      if (failure !== null) return failure
      const asRead = readFinishReason(word, this.#toolCallers.has(index))
      if (this.#finished.has(index) || (asRead !== word && word !== 'function_call')) return 'decode'
      finishes++
    }
    if (finishes > 0)
      for (const choice of choices)
        if (isObject(choice) && typeof choice.finish_reason === 'string') this.#finished.add(choiceIndex(choice))
    return finishes
  }

  /** Number of choices that have finished. */
  get finishes(): number {
    return this.#finished.size
  }
}

function choiceIndex(choice: JsonObject): number {
  return Number.isInteger(choice.index) ? (choice.index as number) : 0
}

function hasToolCalls(delta: JsonObject): boolean {
  return (Array.isArray(delta.tool_calls) && delta.tool_calls.length > 0) || isObject(delta.function_call)
}

function readDelta(choice: JsonObject, index: number, tokens: number | undefined): Delta {
  // Text completions write their text straight into the choice.
  const raw: JsonObject = isObject(choice.delta) ? choice.delta : { content: choice.text }
  const content = text(raw.content)
  const reasoning = text(raw.reasoning_content) ?? text(raw.reasoning)
  const refusal = text(raw.refusal)
  const toolCalls = readToolCalls(raw)
  const logprobs = readLogprobs(choice.logprobs)
  const reasoningLogprobs = readReasoningLogprobs(choice.logprobs)
  const extra = readExtra(raw)
  const bytes = byteLength(content) + byteLength(reasoning) + byteLength(refusal) + toolCallBytes(toolCalls)
  return {
    type: 'delta',
    choice: index,
    ...(content !== undefined && { content }),
    ...(reasoning !== undefined && { reasoning }),
    ...(refusal !== undefined && { refusal }),
    ...(toolCalls !== undefined && { toolCalls }),
    ...(logprobs !== undefined && logprobs.length > 0 && { logprobs }),
    ...(reasoningLogprobs !== undefined && reasoningLogprobs.length > 0 && { reasoningLogprobs }),
    tokens: tokens ?? ((logprobs?.length ?? 0) + (reasoningLogprobs?.length ?? 0) || estimateTokens(bytes)),
    ...(extra !== undefined && { extra }),
  }
}

function isBare(delta: Delta): boolean {
  const { content, reasoning, refusal, toolCalls, logprobs, reasoningLogprobs, extra, tokens } = delta
  const fields = [content, reasoning, refusal, toolCalls, logprobs, reasoningLogprobs, extra]
  return tokens === 0 && fields.every(field => field === undefined)
}

function readToolCalls(raw: JsonObject): ToolCallDelta[] | undefined {
  if (Array.isArray(raw.tool_calls) && raw.tool_calls.length > 0) {
    return raw.tool_calls.filter(isObject).map((call, i) => {
      const called = isObject(call.function) ? call.function : {}
      return readCall(Number.isInteger(call.index) ? (call.index as number) : i, text(call.id), called)
    })
  }
  return isObject(raw.function_call) ? [readCall(0, undefined, raw.function_call)] : undefined
}

function readCall(index: number, id: string | undefined, called: JsonObject): ToolCallDelta {
  const name = text(called.name)
  const piece = typeof called.arguments === 'string' ? called.arguments : ''
  return { index, ...(id !== undefined && { id }), ...(name !== undefined && { name }), arguments: piece }
}

function toolCallBytes(calls: readonly ToolCallDelta[] | undefined): number {
  let bytes = 0
  for (const call of calls ?? []) bytes += byteLength(call.name) + byteLength(call.arguments)
  return bytes
}

function readExtra(raw: JsonObject): JsonObject | undefined {
  let extra: JsonObject | undefined
  for (const [key, value] of Object.entries(raw)) {
    if (KNOWN.has(key) || value === null || value === undefined) continue
    extra ??= {}
    extra[key] = value
  }
  return extra
}

/** Empty text says nothing; role chunks carry it. */
function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function byteLength(value: string | undefined): number {
  return value === undefined ? 0 : Buffer.byteLength(value)
}
