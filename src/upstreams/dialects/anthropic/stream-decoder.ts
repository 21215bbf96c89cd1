import type { FinishReason, InferenceEvent, ToolCallDelta, UpstreamFailure } from '../../../inference/event.ts'
import type { JsonObject } from '../../../inference/request.ts'
import type { ServiceTier } from '../../../inference/service-tier.ts'
import { MESSAGES_REASONING_FORMAT } from '../../../translation/messages/turns-to-chat.ts'
import { isObject } from '../../../wire/json-object.ts'
import { SseFrameTooLarge, SseParser } from '../../../wire/sse-parser.ts'
import type { AnswerDecoder } from '../../http-dialect.ts'
import { servedTier } from '../openai/served-tier.ts'
import { estimateTokens } from '../openai/token-estimate.ts'
import { UsageReader } from '../usage-normaliser.ts'
import { failureOfErrorEvent } from './error-frame.ts'

type Emit = (event: InferenceEvent) => void
type Delta = Extract<InferenceEvent, { type: 'delta' }>

/** Largest frame that an upstream may send; as on OpenAI's wire. */
const FRAME_BYTES_MAX = 4 * 1024 * 1024

const REASONS: Readonly<Record<string, FinishReason>> = {
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool_calls',
  refusal: 'content_filter',
}

/** A content block that is being written. */
type Block =
  | { readonly kind: 'call'; readonly call: number }
  | { readonly kind: 'thinking'; readonly index: number; text: string; signature: string }
  | { readonly kind: 'other' }

/**
 * Turns the bytes of a streamed message into events. A thought that its maker signed goes on as a whole in `reasoning_details` at its
 * end, beside the text that went before, so that a client can send it back. Blocks of tools that the upstream runs itself are never
 * asked for and are passed over. Pure: the same bytes give the same events, however they are cut.
 */
export class MessagesStreamDecoder implements AnswerDecoder {
  readonly #parser = new SseParser({ frameBytesMax: FRAME_BYTES_MAX })
  readonly #usage = new UsageReader('anthropic-messages')
  readonly #blocks = new Map<number, Block>()
  #calls = 0
  #thoughts = 0
  #started = false
  #finished = false
  #done = false
  #servedTier: ServiceTier | undefined

  push(chunk: Uint8Array, emit: Emit): UpstreamFailure | null {
    if (this.#done) return null
    this.#parser.push(chunk)
    return this.#drain(emit)
  }

  end(emit: Emit): UpstreamFailure | null {
    if (!this.#done) {
      this.#parser.end()
      const failure = this.#drain(emit)
      if (failure !== null) return failure
    }
    if (this.#finished) return null
    return { reason: 'disconnected', message: 'The upstream ended its answer before it was finished.', retryable: true }
  }

  #drain(emit: Emit): UpstreamFailure | null {
    const parser = this.#parser
    try {
      while (!this.#done && parser.next()) {
        const frame = parseObject(parser.dataBytes.toString('utf8', parser.dataStart, parser.dataEnd))
        if (frame === undefined) return protocolFailure('The upstream sent a frame that is no JSON object.')
        const failure = this.#read(frame, emit)
        if (failure !== null) return failure
      }
    } catch (error) {
      if (!(error instanceof SseFrameTooLarge)) throw error
      return protocolFailure(error.message)
    }
    return null
  }

  #read(frame: JsonObject, emit: Emit): UpstreamFailure | null {
    switch (frame.type) {
      case 'error':
        return failureOfErrorEvent(frame)
      case 'message_start':
        this.#start(frame, emit)
        return null
      case 'content_block_start':
        this.#open(blockIndex(frame), isObject(frame.content_block) ? frame.content_block : {}, emit)
        return null
      case 'content_block_delta':
        this.#delta(blockIndex(frame), isObject(frame.delta) ? frame.delta : {}, emit)
        return null
      case 'content_block_stop':
        this.#close(blockIndex(frame), emit)
        return null
      case 'message_delta':
        this.#end(frame, emit)
        return null
      case 'message_stop':
        this.#done = true
        return null
      default:
        // `ping`, and whatever is added one day.
        return null
    }
  }

  #start(frame: JsonObject, emit: Emit): void {
    const usage = this.#usage.read(frame)
    this.#readTier(isObject(frame.message) ? frame.message.usage : undefined)
    if (!this.#started) {
      this.#started = true
      // Without the input: some servers estimate here what they count at the end, and the hold must not shrink to an estimate.
      emit({ type: 'started', ...(this.#servedTier !== undefined && { serviceTier: this.#servedTier }) })
    }
    if (usage !== undefined) emit({ type: 'usage', ...usage })
  }

  #open(index: number, block: JsonObject, emit: Emit): void {
    switch (block.type) {
      case 'text':
        this.#blocks.set(index, { kind: 'other' })
        say(emit, 'content', block.text)
        break
      case 'thinking': {
        const thought = { kind: 'thinking', index: this.#thoughts++, text: '', signature: '' } as const
        this.#blocks.set(index, thought)
        this.#think(thought, block.thinking, emit)
        this.#sign(thought, block.signature)
        break
      }
      case 'redacted_thinking':
        emitDetail(emit, {
          type: 'reasoning.encrypted',
          data: block.data,
          format: MESSAGES_REASONING_FORMAT,
          index: this.#thoughts++,
        })
        break
      case 'tool_use': {
        const call = this.#calls++
        this.#blocks.set(index, { kind: 'call', call })
        const name = typeof block.name === 'string' ? block.name : ''
        // Servers that do not stream the input send it here, whole.
        const whole = isObject(block.input) && Object.keys(block.input).length > 0 ? JSON.stringify(block.input) : ''
        const id = typeof block.id === 'string' && block.id !== '' ? { id: block.id } : {}
        emitCall(emit, { index: call, ...id, name, arguments: whole })
        break
      }
      default:
        this.#blocks.set(index, { kind: 'other' })
    }
  }

  #delta(index: number, delta: JsonObject, emit: Emit): void {
    const block = this.#blocks.get(index)
    switch (delta.type) {
      case 'text_delta':
        say(emit, 'content', delta.text)
        return
      case 'thinking_delta':
        if (block?.kind === 'thinking') this.#think(block, delta.thinking, emit)
        return
      case 'signature_delta':
        if (block?.kind === 'thinking') this.#sign(block, delta.signature)
        return
      case 'input_json_delta':
        if (block?.kind === 'call' && typeof delta.partial_json === 'string' && delta.partial_json !== '')
          emitCall(emit, { index: block.call, arguments: delta.partial_json })
        return
    }
  }

  #think(thought: Extract<Block, { kind: 'thinking' }>, text: unknown, emit: Emit): void {
    if (typeof text !== 'string') return
    thought.text += text
    say(emit, 'reasoning', text)
  }

  #sign(thought: Extract<Block, { kind: 'thinking' }>, signature: unknown): void {
    if (typeof signature === 'string') thought.signature += signature
  }

  #close(index: number, emit: Emit): void {
    const block = this.#blocks.get(index)
    this.#blocks.delete(index)
    if (block?.kind !== 'thinking' || block.signature === '') return
    const { text, signature, index: thought } = block
    emitDetail(emit, { type: 'reasoning.text', text, signature, format: MESSAGES_REASONING_FORMAT, index: thought })
  }

  #end(frame: JsonObject, emit: Emit): void {
    const { stop_reason: word, stop_sequence: sequence } = isObject(frame.delta) ? frame.delta : {}
    if (typeof word === 'string' && !this.#finished) {
      this.#finished = true
      const reason = REASONS[word] ?? (this.#calls > 0 ? 'tool_calls' : 'stop')
      const stopSequence = word === 'stop_sequence' && typeof sequence === 'string' ? { stopSequence: sequence } : {}
      emit({ type: 'finish', choice: 0, reason, native: word, ...(reason === 'stop' && stopSequence) })
    }
    this.#readTier(frame.usage)
    const usage = this.#usage.read(frame)
    if (usage !== undefined)
      emit({ type: 'usage', ...usage, ...(this.#servedTier !== undefined && { serviceTier: this.#servedTier }) })
  }

  #readTier(usage: unknown): void {
    if (isObject(usage)) this.#servedTier = servedTier(usage) ?? this.#servedTier
  }
}

function blockIndex(frame: JsonObject): number {
  return typeof frame.index === 'number' ? frame.index : 0
}

function say(emit: Emit, field: 'content' | 'reasoning', text: unknown): void {
  if (typeof text !== 'string' || text === '') return
  emit({ type: 'delta', choice: 0, [field]: text, tokens: estimateTokens(Buffer.byteLength(text)) } as Delta)
}

function emitCall(emit: Emit, call: ToolCallDelta): void {
  const tokens = estimateTokens(Buffer.byteLength(call.arguments) + Buffer.byteLength(call.name ?? ''))
  emit({ type: 'delta', choice: 0, toolCalls: [call], tokens })
}

function emitDetail(emit: Emit, detail: JsonObject): void {
  emit({ type: 'delta', choice: 0, tokens: 0, extra: { reasoning_details: [detail] } })
}

function protocolFailure(message: string): UpstreamFailure {
  return { reason: 'protocol', message, retryable: true }
}

function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
