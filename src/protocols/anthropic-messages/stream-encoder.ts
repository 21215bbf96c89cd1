import type { ApiError } from '../../errors.ts'
import type { FinishReason, ToolCallDelta } from '../../inference/event.ts'
import { AssertionFailure } from '../../std/assert.ts'
import { ownSignature } from '../../translation/messages/signature.ts'
import { type AnswerEncoder, type AnswerTotals, type EventOf, NO_BYTES } from '../protocol.ts'
import { errorBody } from '../surface.ts'
import {
  MESSAGE_NULLS,
  type MessageHead,
  messageUsageJson,
  type Stop,
  stopOf,
  toolUseId,
  USAGE_AT_START,
} from './message.ts'
import { thoughtMarks } from './thoughts.ts'

/** A tool call whose block the client has. */
interface OpenCall {
  readonly block: number
  /** The JSON text of its input so far. */
  input: string
  open: boolean
}

/**
 * A streamed message: `message_start` with the first output, then blocks of thinking, text and tool use one after the other, then, when
 * all is settled, `message_delta` with the usage and `message_stop`.
 *
 * Blocks do not overlap, but for tool calls of an upstream that writes several at once: a call is closed when the next begins if its
 * input is whole by then, and else at the end. Clients take deltas by their block's index.
 */
export class MessagesStreamEncoder implements AnswerEncoder {
  readonly contentType = 'text/event-stream'
  readonly #head: MessageHead
  #started = false
  #blocks = 0
  /** The thinking or text that goes on; undefined between blocks and while tools are called. */
  #open: { readonly kind: 'thinking' | 'text'; readonly block: number; signature?: string } | undefined
  readonly #calls = new Map<number, OpenCall>()
  #stop: Stop | undefined

  constructor(head: MessageHead) {
    this.#head = head
  }

  get finished(): boolean {
    return this.#stop !== undefined
  }

  started(): void {}

  delta(event: EventOf<'delta'>): Uint8Array {
    let text = ''
    const { signature, redacted } = thoughtMarks(event)
    if (event.reasoning !== undefined) text += this.#thought(event.reasoning)
    if (signature !== undefined) text += this.#signed(signature)
    for (const data of redacted) text += this.#redacted(data)
    if (event.content !== undefined) text += this.#said(event.content)
    if (event.refusal !== undefined) text += this.#said(event.refusal)
    for (const call of event.toolCalls ?? []) text += this.#called(call)
    return text === '' ? NO_BYTES : Buffer.from(`${this.#opening()}${text}`)
  }

  frame(): Uint8Array {
    throw new AssertionFailure('a message is never written by an upstream itself')
  }

  finish(_choice: number, reason: FinishReason, _native?: string, stopSequence?: string): Uint8Array {
    if (this.#stop !== undefined) return NO_BYTES
    this.#stop = stopOf(this.#head, reason, stopSequence)
    let text = this.#close()
    for (const call of this.#calls.values()) if (call.open) text += this.#closeCall(call)
    return text === '' ? NO_BYTES : Buffer.from(text)
  }

  finishOpen(reason: FinishReason): Uint8Array {
    return this.finish(0, reason)
  }

  complete(totals: AnswerTotals): Uint8Array {
    const { stop_reason: reason, stop_sequence: sequence } = this.#stop ?? stopOf(this.#head, 'stop', undefined)
    const delta = `{"stop_reason":"${reason}","stop_sequence":${JSON.stringify(sequence)},"container":null,"stop_details":null}`
    return Buffer.from(
      `${this.#opening()}${frame('message_delta', `"delta":${delta},"usage":${messageUsageJson(totals)}`)}${frame('message_stop')}`,
    )
  }

  error(error: ApiError): Uint8Array {
    return Buffer.from(`event: error\ndata: ${JSON.stringify(errorBody('anthropic', error, this.#head.requestId))}\n\n`)
  }

  #opening(): string {
    if (this.#started) return ''
    this.#started = true
    const { id, model } = this.#head
    const message = `{"id":${JSON.stringify(id)},"type":"message","role":"assistant","model":${JSON.stringify(model)},"content":[],"stop_reason":null,"stop_sequence":null,${MESSAGE_NULLS},"usage":${USAGE_AT_START}}`
    return frame('message_start', `"message":${message}`)
  }

  #thought(thinking: string): string {
    // A signature ends a thought; what comes after it is the next.
    const before = this.#open?.kind === 'thinking' && this.#open.signature === undefined ? '' : this.#openThinking()
    return `${before}${this.#delta(`{"type":"thinking_delta","thinking":${JSON.stringify(thinking)}}`)}`
  }

  #signed(signature: string): string {
    // A signature without a text is of a thought that its maker does not show.
    const before = this.#open?.kind === 'thinking' ? '' : this.#openThinking()
    if (this.#open !== undefined) this.#open.signature = signature
    return before
  }

  #redacted(data: string): string {
    const before = this.#close()
    const block = this.#blocks++
    return `${before}${start(block, `{"type":"redacted_thinking","data":${JSON.stringify(data)}}`)}${stop(block)}`
  }

  #said(words: string): string {
    let before = ''
    if (this.#open?.kind !== 'text') {
      before = this.#close()
      this.#open = { kind: 'text', block: this.#blocks++ }
      before += start(this.#open.block, '{"type":"text","text":"","citations":null}')
    }
    return `${before}${this.#delta(`{"type":"text_delta","text":${JSON.stringify(words)}}`)}`
  }

  #called(piece: ToolCallDelta): string {
    let text = ''
    let call = this.#calls.get(piece.index)
    if (call === undefined) {
      text = this.#close()
      call = { block: this.#blocks++, input: '', open: true }
      this.#calls.set(piece.index, call)
      const id = piece.id ?? toolUseId(this.#head, piece.index)
      text += start(
        call.block,
        `{"type":"tool_use","id":${JSON.stringify(id)},"name":${JSON.stringify(piece.name ?? '')},"input":{},"caller":{"type":"direct"}}`,
      )
    }
    if (piece.arguments === '' || !call.open) return text
    call.input += piece.arguments
    return `${text}${deltaFrame(call.block, `{"type":"input_json_delta","partial_json":${JSON.stringify(piece.arguments)}}`)}`
  }

  #openThinking(): string {
    const before = this.#close()
    this.#open = { kind: 'thinking', block: this.#blocks++ }
    return `${before}${start(this.#open.block, '{"type":"thinking","thinking":"","signature":""}')}`
  }

  #delta(json: string): string {
    return deltaFrame((this.#open as { block: number }).block, json)
  }

  /** Ends what is open, but for calls whose input is not whole yet. */
  #close(): string {
    let text = ''
    for (const call of this.#calls.values()) if (call.open && isWhole(call.input)) text += this.#closeCall(call)
    const open = this.#open
    if (open === undefined) return text
    this.#open = undefined
    if (open.kind === 'thinking') {
      const signature = open.signature ?? ownSignature(this.#head.id)
      text += deltaFrame(open.block, `{"type":"signature_delta","signature":${JSON.stringify(signature)}}`)
    }
    return text + stop(open.block)
  }

  #closeCall(call: OpenCall): string {
    call.open = false
    return stop(call.block)
  }
}

function frame(type: string, fields = ''): string {
  return `event: ${type}\ndata: {"type":"${type}"${fields === '' ? '' : `,${fields}`}}\n\n`
}

function start(block: number, json: string): string {
  return frame('content_block_start', `"index":${block},"content_block":${json}`)
}

function deltaFrame(block: number, json: string): string {
  return frame('content_block_delta', `"index":${block},"delta":${json}`)
}

function stop(block: number): string {
  return frame('content_block_stop', `"index":${block}`)
}

function isWhole(json: string): boolean {
  try {
    JSON.parse(json)
    return true
  } catch {
    return false
  }
}
