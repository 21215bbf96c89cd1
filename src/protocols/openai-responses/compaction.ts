import type { ApiError } from '../../errors.ts'
import type { FinishReason } from '../../inference/event.ts'
import type { JsonObject } from '../../inference/request.ts'
import { type AnswerEncoder, type AnswerTotals, type EventOf, NO_BYTES } from '../protocol.ts'
import type { ReasoningSeal } from './reasoning-seal.ts'
import { responsesUsage } from './usage.ts'

/** What the model is asked for when a conversation is to be made shorter. */
export const COMPACTION_PROMPT: JsonObject = Object.freeze({
  type: 'message',
  role: 'user',
  content:
    'Write a summary of the conversation so far, so that it can be gone on with from the summary alone. State the goal and the ' +
    'constraints that were given; what was done and decided, with the reasons; facts that were found, with exact names, paths, numbers ' +
    'and quotations; and what is open. Leave out what no longer matters. Answer with the summary and nothing else, and call no tool.',
})

/** The body that the summary is asked for with: what concerns an answer is left out. */
export function compactionBody(body: JsonObject): JsonObject {
  const { tools: _, tool_choice: __, text: ___, include: ____, stream: _____, background: ______, ...rest } = body
  return rest
}

/** What a compaction's answer is made of. */
export interface CompactionHead {
  readonly id: string
  readonly unique: string
  readonly createdS: number
  /** The conversation that is made shorter. */
  readonly items: readonly JsonObject[]
}

/**
 * The answer of `POST /v1/responses/compact`: what the user said, and one item that holds a summary of everything. Where the model wrote no
 * summary the conversation comes back as it was: nothing of it is lost.
 */
export class CompactionEncoder implements AnswerEncoder {
  readonly contentType = 'application/json'
  readonly #head: CompactionHead
  readonly #seal: ReasoningSeal
  #summary = ''
  #finished = false

  constructor(head: CompactionHead, seal: ReasoningSeal) {
    this.#head = head
    this.#seal = seal
  }

  get finished(): boolean {
    return this.#finished
  }

  started(): void {}

  delta({ content }: EventOf<'delta'>): Uint8Array {
    this.#summary += content ?? ''
    return NO_BYTES
  }

  frame(): Uint8Array {
    return NO_BYTES
  }

  finish(_choice: number, _reason: FinishReason): Uint8Array {
    this.#finished = true
    return NO_BYTES
  }

  finishOpen(reason: FinishReason): Uint8Array {
    return this.finish(0, reason)
  }

  complete(totals: AnswerTotals): Uint8Array {
    const { id, createdS } = this.#head
    const object = 'response.compaction'
    return Buffer.from(
      JSON.stringify({ id, object, created_at: createdS, output: this.#output(), usage: responsesUsage(totals) }),
    )
  }

  error(error: ApiError): Uint8Array {
    return Buffer.from(JSON.stringify(error.toOpenAi()))
  }

  #output(): readonly JsonObject[] {
    const { items, unique } = this.#head
    const summary = this.#summary.trim()
    if (summary === '') return items
    const said = items.filter(({ type, role }) => type === 'message' && role === 'user')
    return [...said, { id: `cmp_${unique}`, type: 'compaction', encrypted_content: this.#seal.seal(summary) }]
  }
}
