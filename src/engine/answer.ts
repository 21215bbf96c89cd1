import type { FinishReason, ToolCallDelta } from '../inference/event.ts'
import type { NativeResult, NativeToken, NativeToolCall } from './binding.ts'
import { cutCalls } from './cut-calls.ts'
import type { GenericTools } from './generic-tools.ts'
import { jsonReply } from './json-reply.ts'
import type { AnswerShape } from './prompt.ts'
import { type ReasoningSplitter, reasoningSplitter } from './reasoning-splitter.ts'
import { type StopFilter, stopFilter } from './stop-filter.ts'

/** What may be sent on now. */
export interface AnswerPiece {
  content: string
  reasoning: string
  toolCalls: ToolCallDelta[]
}

/** Turns what the binding calls back into pieces that never have to be unsaid. */
export interface AnswerReader {
  token(data: NativeToken): AnswerPiece
  end(result: NativeResult): { readonly piece: AnswerPiece; readonly reason: FinishReason }
  /** True while the newest text belongs to the reasoning. */
  readonly thinking: boolean
  /** The stop sequence that ended the answer. */
  readonly stoppedBy: string | undefined
}

/** `newCallId` names a tool call, where the model did not. */
export function answerReader(shape: AnswerShape, stops: readonly string[], newCallId: () => string): AnswerReader {
  switch (shape.kind) {
    case 'text':
      return new TextReader(stopFilter(stops), undefined)
    case 'reasoning':
      return new TextReader(stopFilter(stops), reasoningSplitter(shape.startTag, shape.endTag, shape.open))
    case 'parsed':
      return new ParsedReader(stopFilter(stops), newCallId)
    case 'generic-tools':
      return new GenericReader(stopFilter(stops), shape.tools, newCallId)
  }
}

/** Text as it comes, cut at the first stop sequence, thinking set apart where the template has tags for it. */
class TextReader implements AnswerReader {
  readonly #stop: StopFilter
  readonly #splitter: ReasoningSplitter | undefined
  /** UTF-16 length of the text seen, to find what only the result brings: the replacement of a torn last character. */
  #seen = 0

  constructor(stop: StopFilter, splitter: ReasoningSplitter | undefined) {
    this.#stop = stop
    this.#splitter = splitter
  }

  get thinking(): boolean {
    return this.#splitter?.thinking ?? false
  }

  get stoppedBy(): string | undefined {
    return this.#stop.met
  }

  token(data: NativeToken): AnswerPiece {
    this.#seen += data.token.length
    return this.#read(data.token)
  }

  end(result: NativeResult): { piece: AnswerPiece; reason: FinishReason } {
    const piece = this.#read(result.text.slice(this.#seen))
    if (this.#stop.met === undefined && !result.stopped_word) {
      this.#add(piece, this.#stop.flush())
    }
    const rest = this.#splitter?.flush()
    if (rest !== undefined) {
      piece.reasoning += rest.reasoning
      piece.content += rest.content
    }
    return { piece, reason: this.#stop.met === undefined ? reasonOf(result) : 'stop' }
  }

  #read(text: string): AnswerPiece {
    const piece = emptyPiece()
    if (text.length > 0) this.#add(piece, this.#stop.push(text))
    return piece
  }

  #add(piece: AnswerPiece, text: string): void {
    if (text.length === 0) return
    if (this.#splitter === undefined) {
      piece.content += text
      return
    }
    const split = this.#splitter.push(text)
    piece.reasoning += split.reasoning
    piece.content += split.content
  }
}

/**
 * Reads the binding's own parse of the answer so far. Its partial parses may take back a tool call's arguments, so a
 * call is sent when it is complete: when the next one begins, or at the end.
 */
class ParsedReader implements AnswerReader {
  readonly #stop: StopFilter
  readonly #newCallId: () => string
  #content = ''
  #reasoning = ''
  #callsSent = 0
  #calls: readonly NativeToolCall[] = []
  thinking = false

  constructor(stop: StopFilter, newCallId: () => string) {
    this.#stop = stop
    this.#newCallId = newCallId
  }

  get stoppedBy(): string | undefined {
    return this.#stop.met
  }

  token(data: NativeToken): AnswerPiece {
    const piece = emptyPiece()
    this.#advance(piece, data)
    this.#send(piece, this.#calls.length - 1)
    return piece
  }

  end(result: NativeResult): { piece: AnswerPiece; reason: FinishReason } {
    const piece = emptyPiece()
    this.#advance(piece, result)
    this.#send(piece, this.#calls.length)
    const nothing = this.#content === '' && this.#reasoning === '' && this.#calls.length === 0
    // The parser gave up on the whole answer; its text is still what the model said.
    if (nothing && result.text.length > 0) piece.content += this.#stop.push(result.text)
    if (this.#stop.met === undefined && !result.stopped_word) piece.content += this.#stop.flush()
    const reason = reasonOf(result)
    return { piece, reason: this.#calls.length > 0 && reason === 'stop' ? 'tool_calls' : reason }
  }

  #advance(piece: AnswerPiece, data: NativeToken | NativeResult): void {
    const { content = '', reasoning_content: reasoning = '' } = data
    this.thinking = reasoning.length > this.#reasoning.length
    if (reasoning.length > this.#reasoning.length && reasoning.startsWith(this.#reasoning)) {
      piece.reasoning = reasoning.slice(this.#reasoning.length)
      this.#reasoning = reasoning
    }
    if (content.length > this.#content.length && content.startsWith(this.#content)) {
      piece.content = this.#stop.push(content.slice(this.#content.length))
      this.#content = content
    }
    if (data.tool_calls !== undefined && data.tool_calls.length >= this.#calls.length) this.#calls = data.tool_calls
  }

  #send(piece: AnswerPiece, until: number): void {
    for (; this.#callsSent < until; this.#callsSent++) {
      const call = this.#calls[this.#callsSent] as NativeToolCall
      const id = call.id === undefined || call.id === '' ? this.#newCallId() : call.id
      piece.toolCalls.push({ index: this.#callsSent, id, name: call.function.name, arguments: call.function.arguments })
    }
  }
}

/** JSON that is calls, sent when complete, or a reply, sent as it is written. */
class GenericReader implements AnswerReader {
  readonly thinking = false
  readonly #stop: StopFilter
  readonly #tools: GenericTools
  readonly #newCallId: () => string
  readonly #reply = jsonReply('response')

  constructor(stop: StopFilter, tools: GenericTools, newCallId: () => string) {
    this.#stop = stop
    this.#tools = tools
    this.#newCallId = newCallId
  }

  get stoppedBy(): string | undefined {
    return this.#stop.met
  }

  token(data: NativeToken): AnswerPiece {
    const piece = emptyPiece()
    piece.content = this.#stop.push(this.#reply.push(data.token))
    return piece
  }

  end(result: NativeResult): { piece: AnswerPiece; reason: FinishReason } {
    const piece = emptyPiece()
    if (this.#reply.isReply) {
      if (this.#stop.met === undefined) piece.content = this.#stop.flush()
      return { piece, reason: this.#stop.met === undefined ? reasonOf(result) : 'stop' }
    }
    const read = this.#tools.read(result.text)
    const calls = read?.calls ?? cutCalls(result.text)
    piece.toolCalls = calls.map((call, index) => ({ index, id: this.#newCallId(), ...call }))
    piece.content = read?.content ?? ''
    return { piece, reason: read === undefined || calls.length === 0 ? reasonOf(result) : 'tool_calls' }
  }
}

function emptyPiece(): AnswerPiece {
  return { content: '', reasoning: '', toolCalls: [] }
}

/** `length` when a limit or the slot's context ended the answer. */
function reasonOf(result: NativeResult): FinishReason {
  return (result.stopped_limit || result.context_full) && !result.stopped_word && !result.stopped_eos
    ? 'length'
    : 'stop'
}
