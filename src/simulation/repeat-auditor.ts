import type { Ending } from '../ledger/journal.ts'
import type { StoredAnswer } from '../ledger/stored-answer.ts'

/** A request under an idempotency key, as the one who asked knows it. */
export interface RepeatFacts {
  /** Names the API key and its idempotency key together. */
  readonly key: string
  /** What was sent; another body is another request. */
  readonly body: string
}

interface Member {
  readonly body: string
  /** Bodies of the exchanges under this key that ran while it did. */
  readonly beside: Set<string>
}

interface Group {
  /** Exchanges that have not ended. */
  readonly running: Map<string, Member>
  /** Requests that hold money. */
  readonly open: Set<string>
  /** The answer that was charged whole, and whether it can be had again. */
  whole: { readonly requestId: string; readonly body: string; readonly stored: boolean } | null
}

/** Endings after which the client has a whole answer. */
export const WHOLE_ENDINGS: readonly Ending[] = ['completed', 'exhausted', 'empty']

/**
 * The auditor's part about repetitions: under one key one request runs at a time, one whole answer is charged, and after it nothing runs.
 */
export class RepeatAuditor {
  readonly #wrong: (subject: string, what: string) => void
  readonly #groups = new Map<string, Group>()
  readonly #facts = new Map<string, RepeatFacts>()

  constructor(wrong: (subject: string, what: string) => void) {
    this.#wrong = wrong
  }

  asked(requestId: string, facts: RepeatFacts): void {
    this.#facts.set(requestId, facts)
    let group = this.#groups.get(facts.key)
    if (group === undefined) {
      group = { running: new Map(), open: new Set(), whole: null }
      this.#groups.set(facts.key, group)
    }
    const member: Member = { body: facts.body, beside: new Set() }
    for (const other of group.running.values()) {
      member.beside.add(other.body)
      other.beside.add(facts.body)
    }
    group.running.set(requestId, member)
  }

  admitted(requestId: string): void {
    const group = this.#groupOf(requestId)
    if (group === undefined) return
    for (const other of group.open) this.#wrong(requestId, `runs beside ${other} under one key`)
    if (group.whole?.stored === true)
      this.#wrong(requestId, `runs, although the answer of ${group.whole.requestId} is stored`)
    group.open.add(requestId)
  }

  closed(requestId: string): void {
    this.#groupOf(requestId)?.open.delete(requestId)
  }

  submitted(requestId: string, ending: Ending, answer: StoredAnswer | undefined): void {
    if (answer === undefined) return
    if (!this.#facts.has(requestId)) this.#wrong(requestId, 'stores an answer that nobody may ask for again')
    if (answer.requestId !== requestId) this.#wrong(requestId, `stores the answer of ${answer.requestId}`)
    if (!WHOLE_ENDINGS.includes(ending)) this.#wrong(requestId, `${ending}, and its answer is stored`)
  }

  durable(requestId: string, ending: Ending, answer: StoredAnswer | undefined): void {
    const group = this.#groupOf(requestId)
    if (group === undefined || !WHOLE_ENDINGS.includes(ending)) return
    if (group.whole?.stored === true && group.whole.requestId !== requestId)
      this.#wrong(requestId, `charged under the key of ${group.whole.requestId}, whose answer is stored`)
    group.whole = { requestId, body: (this.#facts.get(requestId) as RepeatFacts).body, stored: answer !== undefined }
  }

  /** Whether the answer of a request that was charged whole is stored. */
  isStored(requestId: string): boolean {
    const whole = this.#groupOf(requestId)?.whole
    return whole?.requestId === requestId && whole.stored
  }

  /** Whether the answer of `originalId` may be sent again to this request. */
  replayed(requestId: string, originalId: string | null): void {
    const whole = this.#groupOf(requestId)?.whole
    if (whole == null || whole.requestId !== originalId || !whole.stored)
      this.#wrong(requestId, `got the answer of ${originalId}, which is not the one of its key`)
    else if (whole.body !== this.#facts.get(requestId)?.body) this.#wrong(requestId, 'got the answer to another body')
  }

  ended(requestId: string, errorCode: string | null): void {
    const group = this.#groupOf(requestId)
    const member = group?.running.get(requestId)
    group?.running.delete(requestId)
    if (errorCode === 'idempotency_in_progress' && (member === undefined || !member.beside.has(member.body)))
      this.#wrong(requestId, 'refused for another request, of which there is none')
    if (errorCode === 'idempotency_key_reused') {
      const bodies = [...(member?.beside ?? []), ...(group?.whole == null ? [] : [group.whole.body])]
      if (bodies.every(body => body === member?.body))
        this.#wrong(requestId, 'refused for another body, which it has not')
    }
  }

  crashed(): void {
    for (const group of this.#groups.values()) group.open.clear()
  }

  #groupOf(requestId: string): Group | undefined {
    const facts = this.#facts.get(requestId)
    return facts === undefined ? undefined : this.#groups.get(facts.key)
  }
}
