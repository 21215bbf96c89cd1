import type { ApiError } from '../../errors.ts'
import type { FinishReason, ToolCallDelta } from '../../inference/event.ts'
import type { JsonObject } from '../../inference/request.ts'
import { AssertionFailure } from '../../std/assert.ts'
import { ownSignature } from '../../translation/messages/signature.ts'
import { isObject } from '../../wire/json-object.ts'
import { type AnswerEncoder, type AnswerTotals, type EventOf, NO_BYTES } from '../protocol.ts'
import { errorBody } from '../surface.ts'
import { MESSAGE_NULLS, type MessageHead, messageUsageJson, type Stop, stopOf, toolUseId } from './message.ts'
import { thoughtMarks } from './thoughts.ts'

type Block =
  | { readonly kind: 'thinking'; text: string; signature?: string }
  | { readonly kind: 'redacted'; readonly data: string }
  | { readonly kind: 'text'; text: string }
  | { readonly kind: 'call'; id: string; name: string; input: string }

/** A message in one JSON body, gathered from deltas; its blocks are those that the stream would have. */
export class MessagesBufferedEncoder implements AnswerEncoder {
  readonly contentType = 'application/json'
  readonly #head: MessageHead
  readonly #blocks: Block[] = []
  readonly #calls = new Map<number, Extract<Block, { kind: 'call' }>>()
  #stop: Stop | undefined

  constructor(head: MessageHead) {
    this.#head = head
  }

  get finished(): boolean {
    return this.#stop !== undefined
  }

  started(): void {}

  delta(event: EventOf<'delta'>): Uint8Array {
    const { signature, redacted } = thoughtMarks(event)
    if (event.reasoning !== undefined) this.#thought().text += event.reasoning
    if (signature !== undefined) this.#signed(signature)
    for (const data of redacted) this.#blocks.push({ kind: 'redacted', data })
    if (event.content !== undefined) this.#said().text += event.content
    if (event.refusal !== undefined) this.#said().text += event.refusal
    for (const call of event.toolCalls ?? []) this.#called(call)
    return NO_BYTES
  }

  frame(): Uint8Array {
    throw new AssertionFailure('a message is never written by an upstream itself')
  }

  finish(_choice: number, reason: FinishReason, _native?: string, stopSequence?: string): Uint8Array {
    this.#stop ??= stopOf(this.#head, reason, stopSequence)
    return NO_BYTES
  }

  finishOpen(reason: FinishReason): Uint8Array {
    return this.finish(0, reason)
  }

  complete(totals: AnswerTotals): Uint8Array {
    const { id, model } = this.#head
    const content = this.#blocks.map(block => this.#blockJson(block))
    const stop = JSON.stringify(this.#stop ?? stopOf(this.#head, 'stop', undefined)).slice(1, -1)
    return Buffer.from(
      `{"id":${JSON.stringify(id)},"type":"message","role":"assistant","model":${JSON.stringify(model)},"content":${JSON.stringify(content)},${stop},${MESSAGE_NULLS},"usage":${messageUsageJson(totals)}}`,
    )
  }

  error(error: ApiError): Uint8Array {
    return Buffer.from(JSON.stringify(errorBody('anthropic', error, this.#head.requestId)))
  }

  #thought(): Extract<Block, { kind: 'thinking' }> {
    const last = this.#blocks.at(-1)
    // A signature ends a thought; what comes after it is the next.
    if (last?.kind === 'thinking' && last.signature === undefined) return last
    const block = { kind: 'thinking', text: '' } as const
    this.#blocks.push(block)
    return block
  }

  #signed(signature: string): void {
    const last = this.#blocks.at(-1)
    if (last?.kind === 'thinking') last.signature = signature
    else this.#blocks.push({ kind: 'thinking', text: '', signature })
  }

  #said(): Extract<Block, { kind: 'text' }> {
    const last = this.#blocks.at(-1)
    if (last?.kind === 'text') return last
    const block = { kind: 'text', text: '' } as const
    this.#blocks.push(block)
    return block
  }

  #called({ index, id, name, arguments: piece }: ToolCallDelta): void {
    let call = this.#calls.get(index)
    if (call === undefined) {
      call = { kind: 'call', id: id ?? toolUseId(this.#head, index), name: name ?? '', input: '' }
      this.#calls.set(index, call)
      this.#blocks.push(call)
    }
    call.input += piece
  }

  #blockJson(block: Block): JsonObject {
    switch (block.kind) {
      case 'thinking':
        return { type: 'thinking', thinking: block.text, signature: block.signature ?? ownSignature(this.#head.id) }
      case 'redacted':
        return { type: 'redacted_thinking', data: block.data }
      case 'text':
        return { type: 'text', text: block.text, citations: null }
      case 'call':
        return { type: 'tool_use', id: block.id, name: block.name, ...inputOf(block.input), caller: { type: 'direct' } }
    }
  }
}

/** The input, which has to be an object. Of one that was cut off the text is added, so that a client can see how far it came. */
function inputOf(text: string): JsonObject {
  if (text === '') return { input: {} }
  try {
    const input: unknown = JSON.parse(text)
    if (isObject(input)) return { input }
  } catch {
    // Cut off by the limit of tokens.
  }
  return { input: {}, partial_json: text }
}
