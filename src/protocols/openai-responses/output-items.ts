import type { TokenLogprob, ToolCallDelta } from '../../inference/event.ts'
import type { JsonObject } from '../../inference/request.ts'
import { customInput } from '../../translation/custom-function.ts'
import { addDetails, packReasoning } from '../../translation/reasoning-details.ts'
import type { CalledTool } from '../../translation/responses-tools.ts'
import { chatLogprobsJson } from '../openai-chat/logprobs.ts'
import type { EventOf } from '../protocol.ts'
import { itemIdPrefix } from './kept-response.ts'

/** Hears of each step; `fields` is JSON text without braces. */
export type OnItemEvent = (type: string, fields: string) => void

/** How the items of an answer are written. */
export interface OutputStyle {
  /** Stands in the ids of items. */
  readonly unique: string
  readonly called: ReadonlyMap<string, CalledTool>
  /** Whether reasoning is told as a summary too: some clients show nothing else. */
  readonly summary: boolean
  readonly logprobs: boolean
  /** Seals reasoning where the client keeps it. */
  readonly seal: ((text: string) => string) | null
}

type Status = 'in_progress' | 'completed' | 'incomplete'

interface Reasoning {
  readonly kind: 'reasoning'
  readonly id: string
  text: string
  /** What its maker says of it beside the text. */
  readonly details: JsonObject[]
  done: boolean
}
interface Part {
  readonly type: 'output_text' | 'refusal'
  text: string
  readonly logprobs: TokenLogprob[]
}
interface Message {
  readonly kind: 'message'
  readonly id: string
  readonly parts: Part[]
  done: boolean
}
interface Call {
  readonly kind: 'call'
  readonly id: string
  readonly callId: string
  readonly name: string
  readonly tool: CalledTool | undefined
  arguments: string
  done: boolean
}
type Item = Reasoning | Message | Call

/**
 * Gathers the items of an answer from deltas and tells every step in the order that OpenAI's SDK insists on: a part is added before its
 * first delta, and each item has a place of its own. Reasoning and messages end when something else begins; calls stay open to the
 * end, since their arguments may come in turns.
 */
export class OutputItems {
  readonly #style: OutputStyle
  readonly #emit: OnItemEvent | null
  readonly #items: Item[] = []
  readonly #calls = new Map<number, Call>()
  /** The reasoning or message that grows. */
  #open: Reasoning | Message | null = null
  #cutShort = false

  /** `emit` is null where nobody hears of the steps. */
  constructor(style: OutputStyle, emit: OnItemEvent | null) {
    this.#style = style
    this.#emit = emit
  }

  /** Takes a piece of the answer. */
  add({ reasoning, content, refusal, toolCalls, logprobs, extra }: EventOf<'delta'>): void {
    if (reasoning !== undefined) this.#addReasoning(reasoning)
    if (Array.isArray(extra?.reasoning_details)) addDetails(this.#thought().details, extra.reasoning_details)
    if (content !== undefined || (logprobs !== undefined && this.#open?.kind === 'message'))
      this.#addText('output_text', content ?? '', this.#style.logprobs ? (logprobs ?? []) : [])
    if (refusal !== undefined) this.#addText('refusal', refusal, [])
    if (toolCalls !== undefined) for (const call of toolCalls) this.#addCall(call)
  }

  /** Ends all items. What was cut short is incomplete, and so is its last item. An answer without any gets an empty message. */
  end(cutShort: boolean): void {
    this.#cutShort = cutShort
    if (this.#items.length === 0) this.#addText('output_text', '', [])
    this.#close(cutShort ? 'incomplete' : 'completed')
    for (const call of this.#calls.values()) this.#endCall(call)
  }

  /** The items, as they stand in the response. */
  toJson(): readonly JsonObject[] {
    return this.#items.map((item, index) => this.#itemJson(item, item.done ? this.#endStatus(index) : 'in_progress'))
  }

  #endStatus(index: number): Status {
    return this.#cutShort && index === this.#items.length - 1 ? 'incomplete' : 'completed'
  }

  /** The reasoning that grows; a new one where something else was said last. */
  #thought(): Reasoning {
    if (this.#open?.kind === 'reasoning') return this.#open
    this.#close('completed')
    const item: Reasoning = { kind: 'reasoning', id: this.#newId('reasoning'), text: '', details: [], done: false }
    this.#open = item
    this.#begin(item)
    return item
  }

  #addReasoning(text: string): void {
    if (text === '') return
    const item = this.#thought()
    const first = item.text === ''
    item.text += text
    if (this.#emit === null) return
    const at = this.#at(item)
    const part = `${at},"content_index":0`
    const summary = `${at},"summary_index":0`
    const delta = JSON.stringify(text)
    if (first) {
      this.#emit('response.content_part.added', `${part},"part":{"type":"reasoning_text","text":""}`)
      if (this.#style.summary)
        this.#emit('response.reasoning_summary_part.added', `${summary},"part":{"type":"summary_text","text":""}`)
    }
    this.#emit('response.reasoning_text.delta', `${part},"delta":${delta}`)
    if (this.#style.summary) this.#emit('response.reasoning_summary_text.delta', `${summary},"delta":${delta}`)
  }

  #addText(type: Part['type'], text: string, logprobs: readonly TokenLogprob[]): void {
    let item = this.#open
    if (item?.kind !== 'message') {
      this.#close('completed')
      item = { kind: 'message', id: this.#newId('message'), parts: [], done: false }
      this.#open = item
      this.#begin(item)
    }
    let part = item.parts.at(-1)
    if (part?.type !== type) {
      if (part !== undefined) this.#endPart(item, item.parts.length - 1)
      part = { type, text: '', logprobs: [] }
      item.parts.push(part)
      const at = `${this.#at(item)},"content_index":${item.parts.length - 1}`
      this.#emit?.('response.content_part.added', `${at},"part":${JSON.stringify(partJson(part))}`)
    }
    part.text += text
    part.logprobs.push(...logprobs)
    if (this.#emit === null || (text === '' && logprobs.length === 0)) return
    const at = `${this.#at(item)},"content_index":${item.parts.length - 1},"delta":${JSON.stringify(text)}`
    if (type === 'refusal') this.#emit('response.refusal.delta', at)
    else this.#emit('response.output_text.delta', `${at},"logprobs":[${chatLogprobsJson(logprobs)}]`)
  }

  #addCall(delta: ToolCallDelta): void {
    let call = this.#calls.get(delta.index)
    if (call === undefined) {
      this.#close('completed')
      const name = delta.name ?? ''
      const tool = this.#style.called.get(name)
      const callId = delta.id ?? `call_${this.#style.unique}_${delta.index}`
      const id = this.#newId(tool?.custom === true ? 'custom_tool_call' : 'function_call')
      call = { kind: 'call', id, callId, name, tool, arguments: '', done: false }
      this.#calls.set(delta.index, call)
      this.#begin(call)
    }
    call.arguments += delta.arguments
    // The text of a custom tool stands within JSON, which has to be whole to be read.
    if (delta.arguments === '' || call.tool?.custom === true) return
    this.#emit?.(
      'response.function_call_arguments.delta',
      `${this.#at(call)},"delta":${JSON.stringify(delta.arguments)}`,
    )
  }

  #begin(item: Item): void {
    this.#items.push(item)
    this.#emit?.(
      'response.output_item.added',
      `"output_index":${this.#items.length - 1},"item":${JSON.stringify(this.#itemJson(item, 'in_progress'))}`,
    )
  }

  #close(status: Status): void {
    const item = this.#open
    if (item === null) return
    this.#open = null
    if (item.kind === 'message') this.#endPart(item, item.parts.length - 1)
    else this.#endReasoning(item)
    this.#endItem(item, status)
  }

  #endReasoning(item: Reasoning): void {
    if (this.#emit === null || item.text === '') return
    const at = this.#at(item)
    const text = JSON.stringify(item.text)
    this.#emit('response.reasoning_text.done', `${at},"content_index":0,"text":${text}`)
    this.#emit('response.content_part.done', `${at},"content_index":0,"part":{"type":"reasoning_text","text":${text}}`)
    if (!this.#style.summary) return
    this.#emit('response.reasoning_summary_text.done', `${at},"summary_index":0,"text":${text}`)
    this.#emit(
      'response.reasoning_summary_part.done',
      `${at},"summary_index":0,"part":{"type":"summary_text","text":${text}}`,
    )
  }

  #endPart(item: Message, index: number): void {
    const part = item.parts[index]
    if (part === undefined || this.#emit === null) return
    const at = `${this.#at(item)},"content_index":${index}`
    if (part.type === 'refusal') this.#emit('response.refusal.done', `${at},"refusal":${JSON.stringify(part.text)}`)
    else {
      const said = `"text":${JSON.stringify(part.text)},"logprobs":[${chatLogprobsJson(part.logprobs)}]`
      this.#emit('response.output_text.done', `${at},${said}`)
    }
    this.#emit('response.content_part.done', `${at},"part":${JSON.stringify(partJson(part))}`)
  }

  #endCall(call: Call): void {
    const at = this.#at(call)
    if (call.tool?.custom === true) {
      const input = JSON.stringify(customInput(call.arguments))
      this.#emit?.('response.custom_tool_call_input.delta', `${at},"delta":${input}`)
      this.#emit?.('response.custom_tool_call_input.done', `${at},"input":${input}`)
    } else {
      const name = JSON.stringify(call.tool?.name ?? call.name)
      this.#emit?.(
        'response.function_call_arguments.done',
        `${at},"name":${name},"arguments":${JSON.stringify(call.arguments)}`,
      )
    }
    this.#endItem(call, this.#endStatus(this.#items.indexOf(call)))
  }

  #endItem(item: Item, status: Status): void {
    item.done = true
    this.#emit?.(
      'response.output_item.done',
      `"output_index":${this.#items.indexOf(item)},"item":${JSON.stringify(this.#itemJson(item, status))}`,
    )
  }

  #newId(type: string): string {
    return `${itemIdPrefix(type)}_${this.#style.unique}${this.#items.length}`
  }

  #at(item: Item): string {
    return `"item_id":"${item.id}","output_index":${this.#items.lastIndexOf(item)}`
  }

  #itemJson(item: Item, status: Status): JsonObject {
    const begun = status !== 'in_progress'
    switch (item.kind) {
      case 'message':
        return {
          id: item.id,
          type: 'message',
          status,
          role: 'assistant',
          content: begun ? item.parts.map(partJson) : [],
        }
      case 'reasoning': {
        const { id, text, details } = item
        const { summary, seal } = this.#style
        const told = begun && text !== ''
        return {
          ...{ id, type: 'reasoning', status, summary: told && summary ? [{ type: 'summary_text', text }] : [] },
          ...(told && { content: [{ type: 'reasoning_text', text }] }),
          ...(begun && seal !== null && { encrypted_content: seal(packReasoning({ text, details })) }),
          ...(begun && details.length > 0 && { reasoning_details: details }),
        }
      }
      case 'call': {
        const { id, callId, tool } = item
        const named = {
          ...{ call_id: callId, name: tool?.name ?? item.name },
          ...(tool?.namespace !== undefined && { namespace: tool.namespace }),
        }
        return tool?.custom === true
          ? { id, type: 'custom_tool_call', status, ...named, input: begun ? customInput(item.arguments) : '' }
          : { id, type: 'function_call', status, ...named, arguments: begun ? item.arguments : '' }
      }
    }
  }
}

function partJson({ type, text, logprobs }: Part): JsonObject {
  if (type === 'refusal') return { type, refusal: text }
  return { type, text, annotations: [], logprobs: JSON.parse(`[${chatLogprobsJson(logprobs)}]`) }
}
