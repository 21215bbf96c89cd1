import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import type { Price } from '../inference/snapshot.ts'
import type { Settlement } from '../ledger/journal.ts'
import { formatDollars } from '../ledger/money.ts'
import { priceAt } from '../pricing/calendar.ts'
import { chargeOf } from '../pricing/worth.ts'
import { answers, type Control, type ControlApp, jsonBody } from './control-context.ts'
import { DollarsOut, TimeIn } from './fields.ts'
import { PriceRows } from './price-list.ts'
import { pricedBy } from './prices.ts'
import { priceHistory } from './snapshot-builder.ts'

/** Usage rows that are read at a time. */
const PAGE_ROWS = 1_000
/** Of the rows that could not be priced so many are named; all are counted. */
const UNPRICED_NAMED_MAX = 100

/** What a replay is asked. */
export const ReplayAsk = z
  .strictObject({
    prices: PriceRows,
    from: TimeIn.openapi({ description: 'Settled then or later.' }),
    to: TimeIn.openapi({ description: 'Settled before then.' }),
    org: z.string().optional(),
    model: z.string().optional(),
  })
  .openapi('PriceReplayAsk')

const Sums = {
  requests: z.int(),
  charged: DollarsOut.openapi({ description: 'What was charged.' }),
  overrun: DollarsOut.openapi({ description: 'What the usage was worth beyond the holds.' }),
  replayed: DollarsOut.openapi({ description: 'What the same usage is worth by the list.' }),
  difference: z.string().openapi({ description: 'Replayed, less charged and overrun; dollars, may be negative.' }),
}

/** What a replay finds. */
export const Replay = z
  .object({
    models: z.array(z.object({ model: z.string(), ...Sums })),
    total: z.object(Sums),
    unpriced: z.object({
      requests: z.int(),
      charged: DollarsOut,
      reasons: z.array(z.object({ reason: z.string(), requests: z.int(), examples: z.array(z.string()) })),
    }),
  })
  .openapi('PriceReplay')

interface Tally {
  requests: number
  chargedNanodollars: bigint
  overrunNanodollars: bigint
  replayedNanodollars: bigint
}

/** POST /prices/replay. */
export function priceReplayRoutes(app: ControlApp, control: Control): void {
  app.openapi(
    createRoute({
      method: 'post',
      path: '/control/v1/prices/replay',
      operationId: 'replayPrices',
      summary: 'What past usage would have cost by another list',
      request: { body: jsonBody(ReplayAsk) },
      responses: answers(200, 'By model and in total, exact. Holds are not replayed: nothing is cut to them.', Replay),
    }),
    async context => context.json(await replay(control, context.req.valid('json')), 200),
  )
}

async function replay(control: Control, ask: z.output<typeof ReplayAsk>): Promise<z.output<typeof Replay>> {
  if (ask.from >= ask.to) throw new ApiError('invalid_value', 'to: has to be after from', { param: 'to' })
  const { orgs } = control.snapshot()
  const list = listOfRows(control, ask.prices)
  const tallies = new Map<string, Tally>()
  const reasons = new Map<string, { requests: number; examples: string[] }>()
  let unpricedNanodollars = 0n
  const pricesWere = new Map<string, Price | null>()
  const priceWas = async (priceId: string): Promise<Price | null> => {
    let price = pricesWere.get(priceId)
    if (price !== undefined) return price
    price = await control.store.priceById(priceId)
    pricesWere.set(priceId, price)
    return price
  }
  const filter = { orgId: ask.org, modelId: ask.model, fromMs: ask.from, toMs: ask.to }
  let cursor: string | undefined
  do {
    const page = await control.store.usageList(filter, { limit: PAGE_ROWS, cursor })
    for (const row of page.rows) {
      const owed = isOwed(row, await priceWas(row.priceId))
      const price = priceAt(list.get(row.modelId) ?? [], row.admittedMs, orgs.get(row.orgId)?.priceGroup)
      if (price === undefined) {
        const reason = list.has(row.modelId)
          ? `the list has no price for ${row.modelId} at the time of the request`
          : `the list has no price for ${row.modelId}`
        const known = reasons.get(reason) ?? { requests: 0, examples: [] }
        reasons.set(reason, known)
        known.requests++
        if (known.examples.length < UNPRICED_NAMED_MAX) known.examples.push(row.requestId)
        unpricedNanodollars += row.chargeNanodollars
        continue
      }
      const tally = tallies.get(row.modelId) ?? newTally()
      tallies.set(row.modelId, tally)
      tally.requests++
      tally.chargedNanodollars += row.chargeNanodollars
      tally.overrunNanodollars += row.overrunNanodollars
      if (owed) tally.replayedNanodollars += chargeOf(price, row.usage, row.admittedMs, row.serviceTier)
    }
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
  const total = newTally()
  for (const tally of tallies.values()) {
    total.requests += tally.requests
    total.chargedNanodollars += tally.chargedNanodollars
    total.overrunNanodollars += tally.overrunNanodollars
    total.replayedNanodollars += tally.replayedNanodollars
  }
  return {
    models: [...tallies].sort().map(([model, tally]) => ({ model, ...sums(tally) })),
    total: sums(total),
    unpriced: {
      requests: [...reasons.values()].reduce((sum, each) => sum + each.requests, 0),
      charged: formatDollars(unpricedNanodollars),
      reasons: [...reasons].sort().map(([reason, { requests, examples }]) => ({ reason, requests, examples })),
    },
  }
}

/** The rows as price histories by model: a row without a beginning holds from ever, until the next of its group begins. */
function listOfRows(control: Control, rows: z.output<typeof PriceRows>): Map<string, Price[]> {
  const { models } = control.snapshot()
  const prices = rows.map(
    (row, index): Price => ({
      id: '',
      modelId: row.model,
      ...(row.group !== undefined && { group: row.group }),
      fromMs: row.from ?? Number.NEGATIVE_INFINITY,
      toMs: row.to ?? null,
      ...pricedBy(models.get(row.model), row, ['prices', index]),
    }),
  )
  const histories = new Map<string, Price[]>()
  for (const group of Map.groupBy(prices, ({ modelId, group }) => `${modelId}\n${group ?? ''}`).values()) {
    const modelId = (group[0] as Price).modelId
    histories.set(modelId, [...(histories.get(modelId) ?? []), ...priceHistory(group)])
  }
  return histories
}

/**
 * Whether an ending was one that owes, by the table of endings: told by the charge where the price was above zero, else by the
 * ending and by whether there was work.
 */
function isOwed(row: Settlement, was: Price | null): boolean {
  if (row.ending === 'completed' || row.ending === 'exhausted') return true
  if (row.ending === 'empty') return false
  if (was !== null && chargeOf(was, row.usage, row.admittedMs, row.serviceTier) > 0n)
    return row.chargeNanodollars + row.overrunNanodollars > 0n
  if (row.ending === 'failed') return row.stream && row.usage.outputTokens > 0
  return row.usage.inputTokens + row.usage.outputTokens > 0
}

function newTally(): Tally {
  return { requests: 0, chargedNanodollars: 0n, overrunNanodollars: 0n, replayedNanodollars: 0n }
}

function sums({ requests, chargedNanodollars, overrunNanodollars, replayedNanodollars }: Tally) {
  return {
    requests,
    charged: formatDollars(chargedNanodollars),
    overrun: formatDollars(overrunNanodollars),
    replayed: formatDollars(replayedNanodollars),
    difference: formatDollars(replayedNanodollars - chargedNanodollars - overrunNanodollars),
  }
}
