import type { LimitRule } from '../inference/limit-rule.ts'
import type { Model, Price } from '../inference/snapshot.ts'
import type { Books } from '../ledger/books.ts'
import type { Admission, Settlement } from '../ledger/journal.ts'
import type { StoredAnswer } from '../ledger/stored-answer.ts'
import type { EndingLine } from './ending-lines.ts'
import { LimitAuditor } from './limit-auditor.ts'
import { RepeatAuditor, type RepeatFacts, WHOLE_ENDINGS } from './repeat-auditor.ts'
import type { AttemptRecord } from './simulated-attempt.ts'
import type { SimulatedDisk } from './simulated-journal.ts'
import type { Transcript } from './transcript.ts'

/** What was asked, as the one who asked knows it. */
export interface RequestFacts {
  readonly id: string
  readonly orgId: string
  readonly keyId: string
  /** Those that it may be served by, best first. */
  readonly models: readonly Model[]
  /** Of the token derived from the key that it was sent with; null: with the key itself. */
  readonly tokenId: string | null
  readonly stream: boolean
  readonly choices: number
  readonly includeUsage: boolean
  /** An answer without a token is what was asked for: no output wanted, or a stop, a grammar or an echo may explain it. */
  readonly mayBeEmpty: boolean
  /** Where it was sent with an idempotency key. */
  readonly once: RepeatFacts | null
  readonly transcript: Transcript
  /** Whether the client has left, or never was there. */
  readonly gone: () => boolean
}

/** The part of the books that the auditor compares with its own. */
export type BooksView = Pick<Books, 'openHolds' | 'orgFunds' | 'budgetSpent' | 'limitUsed'>

interface Case {
  readonly facts: RequestFacts
  attempt: AttemptRecord | null
  settlement: Settlement | null
  admitted: boolean
  durable: boolean
}

/**
 * Keeps an opinion of its own about money: from what upstreams truly did, what clients truly saw, and what lies on the disk.
 * It shares no arithmetic with the code that it watches. What it finds wrong stands in `violations`, so that a finding in
 * the middle of a callback cannot be swallowed by the code under test.
 */
export class Auditor {
  readonly violations: string[] = []
  readonly endings = new Map<string, number>()
  /** How often each line of the table of endings came up, told from what truly happened. */
  readonly lines = new Map<EndingLine, number>()
  /** Answers that were served whole by another model than the first that was asked. */
  fellBack = 0
  readonly #repeats = new RepeatAuditor((subject, what) => this.wrong(subject, what))
  /** All that was credited and granted, less what was taken back and what ended, by org. */
  readonly #credits: Map<string, bigint>
  /** What was taken back, by org: it alone may leave less than nothing. */
  readonly #taken = new Map<string, bigint>()
  /** What the process has set aside to end a grant, by org, and not yet been told of as written. */
  #reserved = new Map<string, bigint>()
  readonly #limits: LimitAuditor
  readonly #caps: ReadonlyMap<string, bigint | null>
  readonly #disk: SimulatedDisk
  readonly #cases = new Map<string, Case>()
  /** Requests of the running process whose hold is open. */
  #open = new Set<string>()
  /** Charges that the running process knows to be durable, by `org:`, `key:` or `token:` id. */
  #charged = new Map<string, bigint>()
  #drained = false

  /** `credits` in nanodollars by org; `caps` by budget of a key or token (`key:` or `token:` id), null without one; `limits` by key. */
  constructor(
    credits: ReadonlyMap<string, bigint>,
    caps: ReadonlyMap<string, bigint | null>,
    limits: ReadonlyMap<string, readonly LimitRule[]>,
    disk: SimulatedDisk,
  ) {
    this.#limits = new LimitAuditor(limits, (subject, what) => this.wrong(subject, what))
    this.#credits = new Map(credits)
    this.#caps = caps
    this.#disk = disk
  }

  /** Notes what is wrong, and with whom. */
  wrong(subject: string, what: string): void {
    this.violations.push(`${subject}: ${what}`)
  }

  /** A client asks. */
  asked(facts: RequestFacts): void {
    this.#cases.set(facts.id, { facts, attempt: null, settlement: null, admitted: false, durable: false })
    if (facts.once !== null) this.#repeats.asked(facts.id, facts.once)
  }

  /** An upstream was given an attempt; it keeps the record up to date. */
  attempted(record: AttemptRecord): void {
    const found = this.#cases.get(record.requestId)
    if (found === undefined) return
    found.attempt = record
    this.#limits.attempted(record.requestId, record.publicModel)
  }

  /** An org's credit was changed on the disk, by what was given or what ended. */
  moved(orgId: string, nanodollars: bigint): void {
    addTo(this.#credits, orgId, nanodollars)
  }

  /** Money was taken back from an org, on the disk and in the books, whether it is still there or not. */
  takenBack(orgId: string, nanodollars: bigint): void {
    addTo(this.#credits, orgId, -nanodollars)
    addTo(this.#taken, orgId, nanodollars)
  }

  /** The process sets some of an org's credit aside (above 0), or gives it back. */
  reserved(orgId: string, nanodollars: bigint): void {
    addTo(this.#reserved, orgId, nanodollars)
  }

  /** A request was let in, which left its org so much available, nanodollars. */
  admitted(admission: Admission, availableNanodollars: bigint): void {
    const { requestId, orgId } = admission
    this.#limits.admitted(admission)
    if (availableNanodollars < 0n) this.wrong(requestId, `let in while ${orgId} has ${availableNanodollars} available`)
    if (this.#open.has(requestId)) this.wrong(requestId, 'admitted twice')
    if (this.#drained) this.wrong(requestId, 'admitted after the drain had ended')
    this.#open.add(requestId)
    const found = this.#cases.get(requestId)
    if (found !== undefined) found.admitted = true
    this.#repeats.admitted(requestId)
  }

  voided(requestId: string): void {
    this.#open.delete(requestId)
    this.#limits.closed(requestId, 0n, null)
    this.#repeats.closed(requestId)
  }

  /** A settlement is on its way to the disk: the moment at which it is compared with the table of endings. */
  submitted(settlement: Settlement, answer: StoredAnswer | undefined): void {
    const { requestId } = settlement
    const found = this.#cases.get(requestId)
    if (found === undefined) {
      this.wrong(requestId, 'settled, but nobody asked')
      return
    }
    if (found.settlement !== null) this.wrong(requestId, 'settled twice')
    if (!this.#open.has(requestId)) this.wrong(requestId, 'settled without an open hold')
    found.settlement = settlement
    this.endings.set(settlement.ending, (this.endings.get(settlement.ending) ?? 0) + 1)
    this.#repeats.submitted(requestId, settlement.ending, answer)
    this.#checkSettlement(found, settlement)
  }

  durable(settlement: Settlement, answer: StoredAnswer | undefined): void {
    const found = this.#cases.get(settlement.requestId)
    this.#repeats.durable(settlement.requestId, settlement.ending, answer)
    if (found === undefined) return
    found.durable = true
    this.#line(lineOf(found, settlement))
  }

  answered(settlement: Settlement, kept: boolean): void {
    this.#open.delete(settlement.requestId)
    this.#limits.closed(settlement.requestId, kept ? settlement.chargeNanodollars : 0n, settlement.modelId)
    this.#repeats.closed(settlement.requestId)
    if (!kept) {
      this.#line('not-durable')
      return
    }
    this.#charge(`org:${settlement.orgId}`, settlement.chargeNanodollars)
    for (const budget of budgetsOf(settlement)) this.#charge(budget, settlement.chargeNanodollars)
  }

  /** The bytes that make an answer complete are leaving: settled before told. */
  completing(requestId: string): void {
    const transcript = this.#cases.get(requestId)?.facts.transcript
    const charged = transcript?.replayed === true ? (transcript.requestId ?? '') : requestId
    if (this.#cases.get(charged)?.durable !== true)
      this.wrong(requestId, 'told to be complete before its charge was durable')
  }

  /** To be called whenever everything that was under way has settled down: what has to hold at every instant. */
  instant(books: BooksView): void {
    if (books.openHolds !== this.#open.size)
      this.wrong('books', `${books.openHolds} holds are open, ${this.#open.size} should be`)
    for (const [orgId, credited] of this.#credits) {
      const { balanceNanodollars, heldNanodollars } = books.orgFunds(orgId)
      const charged = this.#charged.get(`org:${orgId}`) ?? 0n
      const expected = credited - charged - (this.#reserved.get(orgId) ?? 0n)
      if (balanceNanodollars !== expected) this.wrong(orgId, `has ${balanceNanodollars}, should have ${expected}`)
      if (heldNanodollars < 0n || charged + heldNanodollars > credited + (this.#taken.get(orgId) ?? 0n))
        this.wrong(orgId, `${charged} charged and ${heldNanodollars} held of ${credited}`)
      if (this.#open.size === 0 && heldNanodollars !== 0n) this.wrong(orgId, `${heldNanodollars} held for nobody`)
    }
    for (const [budgetId, cap] of this.#caps) {
      const { settledNanodollars, heldNanodollars } = books.budgetSpent(budgetId)
      const charged = this.#charged.get(budgetId) ?? 0n
      if (settledNanodollars !== charged) this.wrong(budgetId, `spent ${settledNanodollars}, should be ${charged}`)
      if (heldNanodollars < 0n || (cap !== null && charged + heldNanodollars > cap))
        this.wrong(budgetId, `${charged} charged and ${heldNanodollars} held of ${cap}`)
      if (this.#open.size === 0 && heldNanodollars !== 0n) this.wrong(budgetId, `${heldNanodollars} held for nobody`)
    }
  }

  /** An exchange is over: the server ended it, the client left, or (`cut`) the process died. */
  ended(requestId: string, cut: boolean): void {
    const { facts, settlement, durable, admitted, attempt } = this.#cases.get(requestId) as Case
    const { transcript } = facts
    for (const violation of transcript.violations) this.wrong(requestId, violation)
    this.#repeats.ended(requestId, transcript.errorCode)
    if (cut && admitted && !durable) this.#line('crash')
    if (!cut && this.#open.has(requestId)) this.wrong(requestId, 'ended with an open hold')
    if (!cut && !transcript.ended && !facts.gone()) this.wrong(requestId, 'was never answered')
    const { status } = transcript
    if (status === 500) this.wrong(requestId, 'the server made a mistake')
    const refused = status !== null && status >= 400
    if (refused && settlement !== null && durable && !['failed', 'timed_out', 'aborted'].includes(settlement.ending))
      this.wrong(requestId, `answered with ${status}, settled as ${settlement.ending}`)
    if (!admitted && refused) this.#line('refused')
    if (transcript.replayed) {
      this.#checkReplay(requestId, facts)
      return
    }
    if (!transcript.whole) return
    if (settlement === null || !durable) {
      this.wrong(requestId, 'whole without a durable settlement')
      return
    }
    if (!WHOLE_ENDINGS.includes(settlement.ending)) this.wrong(requestId, `whole, but settled as ${settlement.ending}`)
    if (transcript.model !== settlement.modelId)
      this.wrong(requestId, `told to be of ${transcript.model}, settled as ${settlement.modelId}`)
    this.#checkUsageTold(facts, settlement)
    this.#checkText(facts, settlement, attempt)
    const mayTell = transcript.ended && (!facts.stream || facts.includeUsage)
    if (facts.once !== null && mayTell && this.#repeats.isStored(requestId) === transcript.toldNotStored)
      this.wrong(requestId, `whole, told to be ${transcript.toldNotStored ? 'not ' : ''}stored, which is not so`)
  }

  #checkReplay(requestId: string, facts: RequestFacts): void {
    const { transcript } = facts
    this.#line('repeated')
    this.#repeats.replayed(requestId, transcript.requestId)
    const own = this.#cases.get(requestId)
    if (own?.admitted === true || own?.settlement != null) this.wrong(requestId, 'got a stored answer and ran as well')
    const first = this.#cases.get(transcript.requestId ?? '')
    if (first?.settlement == null || !transcript.ended) return
    if (!transcript.whole) this.wrong(requestId, 'got a stored answer that is not whole')
    this.#checkUsageTold(facts, first.settlement)
    this.#checkText(facts, first.settlement, first.attempt)
    const before = first.facts.transcript
    if (before.ended && before.raw !== transcript.raw) this.wrong(requestId, `got other bytes than ${first.facts.id}`)
  }

  /** The process died; the next one knows what is on the disk and nothing else. */
  crashed(): void {
    this.#limits.crashed()
    this.#open = new Set()
    this.#repeats.crashed()
    this.#drained = false
    this.#reserved = new Map()
    this.#charged = new Map()
    for (const settlement of this.#disk.settlements.values()) {
      this.#charge(`org:${settlement.orgId}`, settlement.chargeNanodollars)
      for (const budget of budgetsOf(settlement)) this.#charge(budget, settlement.chargeNanodollars)
    }
    this.#checkDisk()
  }

  /** A drain has ended: nothing runs any more, and nothing may begin. */
  drained(): void {
    this.#drained = true
    if (this.#open.size > 0) this.wrong('drain', `ended with ${this.#open.size} open holds`)
  }

  /** Faults have stopped and everything had time to end, grants that were over before `nowMs` among it. */
  quiet(books: BooksView, nowMs: number): void {
    for (const { id, orgId, remaining, expiresMs } of this.#disk.grants) {
      if (expiresMs < nowMs && remaining > 0n && books.orgFunds(orgId).availableNanodollars > 0n)
        this.wrong(id, `is over, and ${remaining} of it never went back`)
    }
    if (this.#open.size > 0) this.wrong('end', `${this.#open.size} holds never ended: ${[...this.#open].join(', ')}`)
    this.#limits.quiet(books, nowMs)
    this.instant(books)
    this.#checkDisk()
  }

  #checkDisk(): void {
    const perOwner = new Map<string, bigint>()
    for (const settlement of this.#disk.settlements.values()) {
      for (const owner of [settlement.orgId, ...budgetsOf(settlement)])
        addTo(perOwner, owner, settlement.chargeNanodollars)
    }
    for (const [orgId, credited] of this.#credits) {
      const charged = perOwner.get(orgId) ?? 0n
      if (charged > credited + (this.#taken.get(orgId) ?? 0n))
        this.wrong(orgId, `the disk has charges of ${charged} on ${credited}`)
      this.#checkGrants(orgId, charged)
      if (this.#disk.state().balances.get(orgId) !== credited - charged) this.wrong(orgId, 'transfers do not balance')
    }
    for (const [budgetId, cap] of this.#caps) {
      if (cap !== null && (perOwner.get(budgetId) ?? 0n) > cap)
        this.wrong(budgetId, 'the disk has charges beyond its cap')
    }
  }

  // All grants were there before the first charge, so every charge came out of them as long as something was left.
  #checkGrants(orgId: string, charged: bigint): void {
    const grants = this.#disk.grants.filter(grant => grant.orgId === orgId)
    let spent = 0n
    let left = 0n
    for (const { id, amount, remaining, expired } of grants) {
      const own = amount - remaining - expired
      if (remaining < 0n || own < 0n) this.wrong(id, `${remaining} left and ${expired} ended of ${amount}`)
      if (own > 0n && left > 0n) this.wrong(id, 'was spent before one that ends sooner')
      spent += own
      left += remaining
    }
    if (left > 0n ? spent !== charged : spent > charged)
      this.wrong(orgId, `${spent} were spent from grants, ${left} are left of them, ${charged} were charged`)
  }

  // The table of docs/concepts/endings.md, told a second time.
  #checkSettlement({ facts, attempt }: Case, settlement: Settlement): void {
    const { ending, usage, chargeNanodollars, overrunNanodollars, heldNanodollars, requestId } = settlement
    const tokenId = settlement.tokenId ?? null
    if (settlement.orgId !== facts.orgId || settlement.keyId !== facts.keyId || tokenId !== facts.tokenId)
      this.wrong(requestId, 'charged to somebody else')
    const model = facts.models.find(({ id }) => id === settlement.modelId)
    const price = model?.prices.find(({ id }) => id === settlement.priceId)
    if (model === undefined || price === undefined) {
      this.wrong(requestId, `sold as ${settlement.modelId} at ${settlement.priceId}`)
      return
    }
    if (model !== facts.models[0] && ending === 'completed') this.fellBack++
    if (attempt !== null && !isServedBy(attempt, model))
      this.wrong(requestId, `sold as ${model.id}, but ${attempt.upstreamModel} served it as ${attempt.publicModel}`)
    const allFinished = attempt !== null && attempt.finished >= facts.choices
    const counted = attempt?.tokensDelivered ?? 0
    const reported = attempt?.usage ?? null
    const told = reported === null ? counted : reported.outputTokens
    let owed: boolean
    let output: number
    switch (ending) {
      case 'completed':
      case 'empty':
        if (!allFinished) this.wrong(requestId, `${ending} with open choices`)
        if ((ending === 'empty') !== (counted === 0 && !facts.mayBeEmpty))
          this.wrong(requestId, `${ending} after ${counted} tokens`)
        owed = ending === 'completed'
        output = told
        break
      case 'cancelled':
      case 'timed_out':
      case 'aborted':
        if (ending === 'cancelled' && !facts.gone()) this.wrong(requestId, 'cancelled by a client that is there')
        owed = attempt?.began === true
        output = told
        break
      case 'failed':
        owed = facts.stream && counted > 0
        output = Math.min(told, counted)
        break
      case 'exhausted': {
        owed = true
        // What was delivered last was not covered, hence not relayed.
        const relayed = facts.stream ? facts.transcript.tokens : Math.min(usage.outputTokens, counted)
        output = Math.min(told, relayed)
        break
      }
    }
    if (allFinished && ending !== 'completed' && ending !== 'empty')
      this.wrong(requestId, `whole at the gateway, settled as ${ending}`)
    if (!owed) {
      if (chargeNanodollars !== 0n || overrunNanodollars !== 0n)
        this.wrong(requestId, `${ending} charges ${chargeNanodollars}, owes nothing`)
      return
    }
    if (attempt === null) {
      this.wrong(requestId, `${ending} owes without an attempt`)
      return
    }
    this.#checkCounts(requestId, attempt, usage, output)
    const cached = reported?.cachedInputTokens ?? 0
    const worth = worthOf(price, usage.inputTokens, cached, output)
    if (chargeNanodollars + overrunNanodollars !== worth)
      this.wrong(
        requestId,
        `${ending} charges ${chargeNanodollars} and ${overrunNanodollars} overrun, is worth ${worth}`,
      )
    if (chargeNanodollars > heldNanodollars)
      this.wrong(requestId, `charges ${chargeNanodollars} of ${heldNanodollars} held`)
    if (
      overrunNanodollars > 0n &&
      (output <= counted || chargeNanodollars < worthOf(price, usage.inputTokens, cached, counted))
    )
      this.wrong(requestId, `${overrunNanodollars} overrun, but the hold should have covered what was relayed`)
  }

  #checkCounts(requestId: string, attempt: AttemptRecord, usage: Settlement['usage'], output: number): void {
    const known = attempt.usage !== null ? attempt.usage.inputTokens : attempt.toldInputTokens
    if (known !== null && usage.inputTokens !== known)
      this.wrong(requestId, `input ${usage.inputTokens}, the upstream said ${known}`)
    if (known === null && (usage.inputTokens < 1 || usage.inputTokens > attempt.inputTokens))
      this.wrong(requestId, `input counted as ${usage.inputTokens} of ${attempt.inputTokens}`)
    if (usage.outputTokens !== output) this.wrong(requestId, `output ${usage.outputTokens}, should be ${output}`)
    if ((attempt.usage === null) !== (usage.outputSource === 'counted') && output === attempt.usage?.outputTokens)
      this.wrong(requestId, `output marked ${usage.outputSource}`)
    if (attempt.usage === null && usage.cachedInputSource !== 'absent')
      this.wrong(requestId, 'cached input out of nowhere')
  }

  #checkUsageTold({ stream, includeUsage, transcript }: RequestFacts, settlement: Settlement): void {
    const { requestId, usage, chargeNanodollars } = settlement
    const seen = transcript.usage
    if (stream && !transcript.ended) return
    if (stream && !transcript.done) this.wrong(requestId, 'whole without [DONE]')
    if (stream && !includeUsage) {
      if (seen !== null) this.wrong(requestId, 'usage that was not wanted')
      return
    }
    if (seen === null) {
      this.wrong(requestId, 'whole without usage')
      return
    }
    const same =
      seen.inputTokens === usage.inputTokens &&
      seen.cachedTokens === usage.cachedInputTokens &&
      seen.outputTokens === usage.outputTokens &&
      dollarsToNanodollars(seen.cost) === chargeNanodollars
    if (!same) this.wrong(requestId, `told ${JSON.stringify(seen)}, charged ${chargeNanodollars}`)
  }

  #checkText({ transcript }: RequestFacts, { requestId, ending }: Settlement, attempt: AttemptRecord | null): void {
    for (const [choice, text] of transcript.texts.entries()) {
      const produced = attempt?.texts[choice] ?? ''
      if (ending === 'exhausted' ? !produced.startsWith(text) : produced !== text)
        this.wrong(requestId, `choice ${choice} is not what the upstream wrote`)
    }
  }

  #line(line: EndingLine): void {
    this.lines.set(line, (this.lines.get(line) ?? 0) + 1)
  }

  #charge(owner: string, nanodollars: bigint): void {
    addTo(this.#charged, owner, nanodollars)
  }
}

/** The budgets that a settlement counts under: that of the key, and that of the token derived from it. */
function budgetsOf({ keyId, tokenId }: Settlement): string[] {
  return [`key:${keyId}`, ...(tokenId == null ? [] : [`token:${tokenId}`])]
}

/** The line of the table of endings that a settlement belongs to, told from what the upstream did and the client asked for. */
function isServedBy({ upstreamId, upstreamModel, publicModel }: AttemptRecord, { id, targets }: Model): boolean {
  return (
    publicModel === id && targets.some(each => each.upstreamId === upstreamId && each.upstreamModel === upstreamModel)
  )
}

function lineOf({ facts, attempt }: Case, { ending }: Settlement): EndingLine {
  const counted = attempt?.tokensDelivered ?? 0
  switch (ending) {
    case 'completed':
      if (attempt?.usage == null) return 'no-usage'
      return counted === 0 ? 'no-output-asked' : 'completed'
    case 'cancelled':
    case 'timed_out':
    case 'aborted':
      if (attempt === null) return 'left-before-dispatch'
      return counted === 0 ? 'left-before-first-token' : 'left-mid-output'
    case 'failed':
      return facts.stream && counted > 0 ? 'failed-mid-stream' : 'failed-before-first-token'
    case 'exhausted':
    case 'empty':
      return ending
  }
}

function addTo(sums: Map<string, bigint>, owner: string, nanodollars: bigint): void {
  sums.set(owner, (sums.get(owner) ?? 0n) + nanodollars)
}

/** Nanodollars, rounded half to even: p/1000 rounded half up, but one less where a half went to an odd number. */
function worthOf(price: Price, inputTokens: number, cachedTokens: number, outputTokens: number): bigint {
  const picodollars =
    price.requestPicodollars +
    price.inputPicodollars * (BigInt(inputTokens) - BigInt(cachedTokens)) +
    price.cachedInputPicodollars * BigInt(cachedTokens) +
    price.outputPicodollars * BigInt(outputTokens)
  const halfUp = (2n * picodollars + 1000n) / 2000n
  const tie = (2n * picodollars + 1000n) % 2000n === 0n
  return tie && halfUp % 2n === 1n ? halfUp - 1n : halfUp
}

/** Dollars written with nine digits after the point. */
function dollarsToNanodollars(decimal: string): bigint | null {
  const match = /^(\d+)\.(\d{9})$/.exec(decimal)
  return match === null ? null : BigInt(match[1] as string) * 10n ** 9n + BigInt(match[2] as string)
}
