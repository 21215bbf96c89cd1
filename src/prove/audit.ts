import type { Ending } from '../ledger/journal.ts'
import type { BooksPort, RequestTransfer, SettledRequest } from './books-port.ts'
import { worthNanodollars } from './price.ts'
import type { Tally, WholeAnswer } from './tally.ts'

/** What was found wrong in one respect: how often, and the first few in words. */
export class Finding {
  count = 0
  readonly shown: string[] = []

  add(what: string): void {
    this.count++
    if (this.shown.length < SHOWN_MAX) this.shown.push(what)
  }
}

/** What an audit found. Each finding has to be empty. */
export interface AuditResult {
  readonly settled: number
  readonly byEnding: ReadonlyMap<Ending, number>
  /** Sum of the charges of all settled requests, nanodollars. */
  readonly chargedNanodollars: bigint
  readonly overrunNanodollars: bigint
  readonly interrupted: number
  /** Answers that a client saw whole, without a charge. */
  readonly uncharged: Finding
  /** Requests that were charged more than once. */
  readonly chargedTwice: Finding
  /** Charges that differ from price × usage, or from what the client was told. */
  readonly wrongAmount: Finding
  /** Settled requests that no client can have sent. */
  readonly unasked: Finding
  /** Sums that do not agree: of the rows, of the key, of the org, of the ledger itself. */
  readonly unbalanced: Finding
  readonly openHolds: number
}

const SHOWN_MAX = 5
/** Stories that are asked for at a time. */
const STORIES_AT_A_TIME = 8

/**
 * Compares what clients saw with what the books say, request by request. The books are only listened to; every sum and every charge is
 * worked out here. `onProgress` is told how many of the whole answers have been looked up.
 */
export async function audit(
  tally: Tally,
  books: BooksPort,
  keyId: string,
  onProgress: (checked: number) => void = () => {},
): Promise<AuditResult> {
  const [uncharged, chargedTwice, wrongAmount, unasked, unbalanced] = Array.from(
    { length: 5 },
    () => new Finding(),
  ) as [Finding, Finding, Finding, Finding, Finding]
  const byEnding = new Map<Ending, number>()
  const settled = new Set<string>()
  let chargedNanodollars = 0n
  let overrunNanodollars = 0n
  let nameless = 0
  /** Charges of whole answers, to be compared with their transfers. */
  const charges = new Map<string, bigint>()
  for await (const row of books.settled(keyId)) {
    if (settled.has(row.requestId)) chargedTwice.add(`${row.requestId} is settled twice`)
    settled.add(row.requestId)
    byEnding.set(row.ending, (byEnding.get(row.ending) ?? 0) + 1)
    chargedNanodollars += row.chargeNanodollars
    overrunNanodollars += row.overrunNanodollars
    if (!tally.named.has(row.requestId)) nameless++
    const answer = tally.whole.get(row.requestId)
    for (const what of [wrongCharge(row), ...(answer === undefined ? [] : wrongForClient(row, answer))])
      if (what !== null) wrongAmount.add(`${row.requestId} (${row.ending}): ${what}`)
    if (answer !== undefined) charges.set(row.requestId, row.chargeNanodollars)
  }
  for (let more = nameless - tally.counts.nameless; more > 0; more--)
    unasked.add('a request was settled that no client sent')

  for (const requestId of tally.whole.keys())
    if (!settled.has(requestId)) uncharged.add(`${requestId} was seen whole and never settled`)
  let checked = 0
  await inParallel(charges, STORIES_AT_A_TIME, async ([requestId, chargeNanodollars]) => {
    const transfers = (await books.transfers(requestId)).filter(({ kind }) => kind === 'charge')
    const moved = transfers.reduce((sum, { amountNanodollars }) => sum + amountNanodollars, 0n)
    if (transfers.length > 1) chargedTwice.add(`${requestId} has ${transfers.length} charges: ${listOf(transfers)}`)
    else if (chargeNanodollars > 0n && transfers.length === 0)
      uncharged.add(`${requestId} has no transfer of its charge`)
    else if (moved !== chargeNanodollars)
      wrongAmount.add(`${requestId} is charged ${chargeNanodollars} n$, and its transfer moves ${moved} n$`)
    onProgress(++checked)
  })

  let interrupted = 0
  for await (const requestId of books.interrupted()) {
    interrupted++
    if (settled.has(requestId)) unbalanced.add(`${requestId} is settled and said to be interrupted`)
  }
  const { spentNanodollars } = await books.keyMoney(keyId)
  const orgCharged = await books.orgCharged()
  if (spentNanodollars !== chargedNanodollars)
    unbalanced.add(`the key has spent ${spentNanodollars} n$, and its requests are charged ${chargedNanodollars} n$`)
  if (orgCharged !== chargedNanodollars)
    unbalanced.add(`the org was charged ${orgCharged} n$, and its requests are charged ${chargedNanodollars} n$`)
  const { problems, settlements } = await books.verify()
  for (const problem of problems) unbalanced.add(problem)
  if (settlements !== settled.size)
    unbalanced.add(`the ledger verified ${settlements} settlements, and lists ${settled.size}`)
  const openHolds = await books.openHolds()
  return {
    settled: settled.size,
    byEnding,
    chargedNanodollars,
    overrunNanodollars,
    interrupted,
    uncharged,
    chargedTwice,
    wrongAmount,
    unasked,
    unbalanced,
    openHolds,
  }
}

/** Why a charge does not follow from its own row by the table of endings; null when it does. */
function wrongCharge(row: SettledRequest): string | null {
  const { ending, stream, chargeNanodollars, overrunNanodollars, heldNanodollars } = row
  const worth = worthNanodollars(row)
  if (chargeNanodollars > heldNanodollars) return `charged ${chargeNanodollars} n$ and held only ${heldNanodollars} n$`
  const isFree = chargeNanodollars === 0n && overrunNanodollars === 0n
  if (ending === 'empty' || (ending === 'failed' && !stream))
    return isFree ? null : `charged ${chargeNanodollars} n$, and owes nothing`
  if (chargeNanodollars + overrunNanodollars === worth) return null
  // What ended before any work on it was seen owes nothing; only a whole answer always owes.
  if (isFree && ending !== 'completed' && ending !== 'exhausted') return null
  return `charged ${chargeNanodollars} n$ (and overrun ${overrunNanodollars} n$) for what is worth ${worth} n$`
}

/** What of a row does not agree with what its client saw whole, and with what its upstream made. */
function* wrongForClient(row: SettledRequest, { told, outputTokensMost }: WholeAnswer): Generator<string> {
  if (row.ending !== 'completed' && row.ending !== 'exhausted' && row.ending !== 'empty')
    yield 'its client saw it whole'
  // An upstream whose process was killed between its last text and its usage left the count to the server.
  if (row.ending === 'completed' && row.isOutputReported && row.output !== outputTokensMost)
    yield `${row.output} output tokens are charged, and ${outputTokensMost} were made`
  if (told === null) return
  if (told.costNanodollars !== row.chargeNanodollars)
    yield `its client was told ${told.costNanodollars} n$, and is charged ${row.chargeNanodollars} n$`
  if (told.input !== row.input || told.cached !== row.cached || told.output !== row.output) {
    const [here, there] = [told, row].map(({ input, cached, output }) => `${input}/${cached}/${output}`)
    yield `its client was told ${here} tokens (input/cached/output), and is charged for ${there}`
  }
}

function listOf(transfers: readonly RequestTransfer[]): string {
  return transfers
    .map(({ debit, credit, amountNanodollars }) => `${amountNanodollars} n$ ${debit} → ${credit}`)
    .join(', ')
}

async function inParallel<Item>(
  items: Iterable<Item>,
  atATime: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const rest = items[Symbol.iterator]()
  const worker = async () => {
    for (let next = rest.next(); next.done !== true; next = rest.next()) await work(next.value)
  }
  await Promise.all(Array.from({ length: atATime }, worker))
}
