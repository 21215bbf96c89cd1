import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import type { Price } from '../inference/snapshot.ts'
import { priceAt } from '../pricing/calendar.ts'
import { sameTariff } from '../pricing/document.ts'
import { createId } from './api-key.ts'
import { answers, type Control, type ControlApp, jsonBody } from './control-context.ts'
import { GroupIn, PageQuery, pageOf, TimeIn } from './fields.ts'
import { firstFreeMs, PriceBody, PriceList, priceBody, pricedBy, pricesOfGroup } from './prices.ts'
import { modelsOf } from './snapshot-builder.ts'
import { TARIFF_IN } from './tariff-fields.ts'

/** Most rows of one list; one transaction writes them all. */
const ROWS_MAX = 10_000

/** A row of a list that is imported or tried out. */
export const PriceRow = z
  .strictObject({
    model: z.string('has to be the id of a model').min(1),
    group: GroupIn.optional(),
    from: TimeIn.optional().openapi({ description: 'A time in the past, or none, means now.' }),
    to: TimeIn.nullable().optional(),
    ...TARIFF_IN,
  })
  .openapi('PriceRow')

/** A whole list. */
export const PriceRows = z
  .array(PriceRow)
  .min(1, 'needs at least one row')
  .max(ROWS_MAX, `can have at most ${ROWS_MAX} rows`)

/** What imports a list. */
export const PriceImport = z
  .strictObject({
    prices: PriceRows,
    dry_run: z.boolean().default(false).openapi({ description: 'Only tell what would change.' }),
  })
  .openapi('PriceImport')

/** What an import changes. */
export const PriceImported = z
  .object({
    applied: z.boolean(),
    data: z.array(
      z.object({
        change: z.enum(['new', 'changed', 'unchanged']),
        before: PriceBody.nullable().openapi({ description: 'What is in force at that time now.' }),
        after: PriceBody,
      }),
    ),
  })
  .openapi('PriceImported')

/** GET and POST /prices. */
export function priceListRoutes(app: ControlApp, control: Control): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/prices',
      operationId: 'listAllPrices',
      summary: 'The price list: what is in force and what is coming, of all models and groups',
      request: { query: PageQuery },
      responses: answers(200, 'A page of prices, by model and time.', PriceList),
    }),
    context => {
      const nowMs = control.clock.nowMs()
      const open = modelsOf(control.snapshot())
        .flatMap(model => model.prices)
        .filter(price => price.toMs === null || price.toMs > nowMs)
      const page = pageOf(open, orderOf, context.req.valid('query'))
      return context.json({ ...page, data: page.data.map(priceBody) }, 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'post',
      path: '/control/v1/prices',
      operationId: 'importPrices',
      summary: 'Set the prices of a list, all or none; what the list does not name stays',
      request: { body: jsonBody(PriceImport) },
      responses: answers(200, 'What changes.', PriceImported),
    }),
    async context => {
      const { prices, dry_run: dryRun } = context.req.valid('json')
      if (dryRun) return context.json(imported(changesOf(control, prices), false), 200)
      const changes = await control.change(async () => {
        const found = changesOf(control, prices)
        const wanted = found.filter(each => each.change !== 'unchanged').map(each => each.after)
        if (wanted.length > 0) await control.store.setPrices(wanted)
        return found
      })
      return context.json(imported(changes, true), 200)
    },
  )
}

interface PriceChange {
  readonly change: 'new' | 'changed' | 'unchanged'
  readonly before: Price | null
  readonly after: Price
}

/** The rows of a list as prices, beside what they would take the place of; throws for the first that is wrong. */
function changesOf(control: Control, rows: z.output<typeof PriceRows>): PriceChange[] {
  const nowMs = control.clock.nowMs()
  const begun = new Set<string>()
  const changes = rows.map((row, index): PriceChange => {
    const model = control.snapshot().models.get(row.model)
    if (model?.id !== row.model)
      throw wrong(`prices.${index}.model`, `there is no model with the id ${JSON.stringify(row.model)}`)
    const group = row.group ?? null
    const existing = pricesOfGroup(model, group)
    const coming = row.from !== undefined && row.from > nowMs
    const fromMs = coming ? (row.from as number) : nowMs
    const key = `${row.model} ${group ?? ''} ${fromMs}`
    if (begun.has(key))
      throw wrong(
        `prices.${index}.from`,
        `two rows of ${row.model}${group === null ? '' : ` for ${group}`} begin at one time`,
      )
    begun.add(key)
    const toMs = row.to ?? null
    if (toMs !== null && toMs <= fromMs) throw wrong(`prices.${index}.to`, 'has to be after from, and not in the past')
    const tariff = pricedBy(model, row, ['prices', index])
    const before = priceAt(existing, fromMs, group) ?? null
    const same =
      before !== null &&
      (before.group ?? null) === group &&
      (!coming || before.fromMs === fromMs) &&
      (toMs === null || toMs === before.toMs) &&
      sameTariff(before, tariff)
    if (same) return { change: 'unchanged', before, after: before }
    const after: Price = {
      id: createId('price', control.randomBytes),
      modelId: row.model,
      ...(group !== null && { group }),
      fromMs: coming ? fromMs : firstFreeMs(existing, fromMs),
      toMs,
      ...tariff,
    }
    return { change: before === null ? 'new' : 'changed', before, after }
  })
  return changes.sort((a, b) => (orderOf(a.after) < orderOf(b.after) ? -1 : 1))
}

function imported(changes: readonly PriceChange[], applied: boolean): z.output<typeof PriceImported> {
  const data = changes.map(({ change, before, after }) => ({
    change,
    before: before === null ? null : priceBody(before),
    after: priceBody(after),
  }))
  return { applied, data }
}

function wrong(param: string, message: string): ApiError {
  return new ApiError('invalid_value', `${param}: ${message}`, { param })
}

// Texts whose order is that of model, group and time.
function orderOf({ modelId, group, fromMs }: Price): string {
  return `${modelId}\n${group ?? ''}\n${String(fromMs).padStart(16, '0')}`
}
