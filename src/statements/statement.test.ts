import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatDollars, parseDollars } from '../ledger/money.ts'
import { csvRecords } from './csv.ts'
import { NO_BILLING } from './invoice.ts'
import { monthOf, parseMonth } from './month.ts'
import { buildStatement, FootingError, type StatementRecords } from './statement.ts'
import { statementCsv } from './statement-csv.ts'
import { statementHtml } from './statement-html.ts'
import { statementPdf } from './statement-pdf.ts'
import { viewOf } from './statement-view.ts'
import { AFTER_MS, BILLING, checkGolden, EXAMPLE, movement, OCTOBER, ORG, PRICES, recordsOf } from './testing.ts'

function built(records: StatementRecords, nowMs = AFTER_MS, billing = BILLING) {
  return buildStatement({ org: ORG, month: OCTOBER, nowMs, records, prices: PRICES, billing })
}

/** Dollars with up to 12 places as picodollars. */
function picodollars(decimal: string): bigint {
  const [whole = '', fraction = ''] = decimal.replace('-', '').split('.')
  const value = BigInt(whole + fraction.padEnd(12, '0'))
  return decimal.startsWith('-') ? -value : value
}

test('the example month in every form', async () => {
  const statement = built(EXAMPLE)
  checkGolden('statement.json', `${JSON.stringify(statement, null, 2)}\n`)
  checkGolden('statement.csv', statementCsv(statement))
  checkGolden('statement.html', statementHtml(viewOf(statement, false)))
  checkGolden('invoice.html', statementHtml(viewOf(statement, true)))
})

test('nothing in a page comes from elsewhere, and names cannot break out of it', () => {
  const html = statementHtml(viewOf(built(EXAMPLE), true))
  assert.doesNotMatch(html, /https?:|<script|<img|<link|Acme <Robotics>/)
  assert.match(statementHtml(viewOf(built(EXAMPLE), false)), /Acme &lt;Robotics&gt;/)
})

test('a PDF has its pages, and is the same when it is made again', async () => {
  const view = viewOf(built(EXAMPLE), true)
  const pdf = await statementPdf(view, OCTOBER.toMs)
  const text = Buffer.from(pdf).toString('latin1')
  assert.ok(text.startsWith('%PDF-1.'))
  assert.match(text, /\/Type \/Pages[\s\S]*?\/Count 1\b/)
  assert.deepEqual(await statementPdf(view, OCTOBER.toMs), pdf)
  const many = {
    ...view,
    tables: view.tables.map(table => ({ ...table, rows: Array.from({ length: 20 }, () => table.rows).flat() })),
  }
  assert.match(
    Buffer.from(await statementPdf(many, OCTOBER.toMs)).toString('latin1'),
    /\/Type \/Pages[\s\S]*?\/Count [4-9]\b/,
  )
})

const nanodollars = fc.bigInt({ min: 1n, max: 10n ** 16n })
const tokens = fc.nat(1_000_000_000)
const chargeSum = fc.record({
  modelId: fc.constantFrom('v4-pro', 'acme/small', 'gone'),
  priceId: fc.constantFrom('price_pro', 'price_small', 'price_gone'),
  requests: fc.integer({ min: 1, max: 1_000_000 }),
  uncached: tokens,
  cachedInputTokens: tokens,
  outputTokens: tokens,
  chargeNanodollars: fc.bigInt({ min: 0n, max: 10n ** 15n }),
})

test('any month foots exactly, and every table in it sums up', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: -(10n ** 17n), max: 10n ** 17n }),
      fc.array(fc.tuple(nanodollars, fc.boolean(), fc.boolean()), { maxLength: 8 }),
      fc.array(chargeSum, { maxLength: 8 }),
      (opening, moves, sums) => {
        const transfers = moves.map(([amount, negative, credit], at) =>
          movement(`m${at}`, negative ? -amount : amount, credit ? {} : { kind: 'overrun' }),
        )
        const charges = sums.map(({ uncached, ...sum }) => ({
          ...sum,
          inputTokens: uncached + sum.cachedInputTokens,
          costNanodollars: null,
        }))
        const statement = built(recordsOf(opening, transfers, charges))
        const total = (rows: readonly { readonly amount: string }[]) =>
          rows.reduce((sum, row) => sum + parseDollars(row.amount), 0n)
        assert.equal(total(statement.credits), parseDollars(statement.credits_total))
        assert.equal(total(statement.corrections), parseDollars(statement.corrections_total))
        for (const charge of statement.charges) {
          const lines = charge.lines.reduce((sum, line) => sum + picodollars(line.amount), 0n)
          assert.equal(lines + picodollars(charge.difference), picodollars(charge.charge))
        }
        const charged = statement.charges.reduce((sum, each) => sum + parseDollars(each.charge), 0n)
        assert.equal(charged, parseDollars(statement.charges_total))
        assert.equal(
          parseDollars(statement.opening_balance) + total(statement.credits) - charged + total(statement.corrections),
          parseDollars(statement.closing_balance),
        )
        const [, ...rows] = csvRecords(statementCsv(statement))
        const amounts = rows.map(row => ({ section: row[0], amount: picodollars(row[9] as string) }))
        const closing = amounts.pop()
        assert.equal(closing?.section, 'closing')
        assert.equal(
          amounts.reduce((sum, row) => sum + row.amount, 0n),
          closing?.amount,
        )
      },
    ),
  )
})

test('what was bought or given is a credit, and all else a correction', () => {
  const kinds = ['credit', 'grant', 'refund', 'chargeback', 'correction', 'expiry', 'overrun'] as const
  const records = recordsOf(
    0n,
    kinds.map((kind, at) => movement(kind, at < 2 ? 10n : -1n, { kind })),
    [],
  )
  const { credits, corrections } = built(records)
  assert.deepEqual(
    credits.map(entry => entry.kind),
    ['credit', 'grant'],
  )
  assert.deepEqual(
    corrections.map(entry => entry.kind),
    kinds.slice(2),
  )
})

test('a nanodollar too much is told, never shown', () => {
  const records = { ...EXAMPLE, closingNanodollars: EXAMPLE.closingNanodollars + 1n }
  assert.throws(
    () => built(records),
    (error: Error) =>
      error instanceof FootingError &&
      error.message.includes(formatDollars(records.closingNanodollars)) &&
      /does not foot.*ledger verify/.test(error.message),
  )
})

test('a month that is not over is provisional and has no invoice; nor has one without a seller', () => {
  const running = built(EXAMPLE, OCTOBER.toMs - 1)
  assert.deepEqual([running.provisional, running.invoice], [true, null])
  assert.match(statementHtml(viewOf(running, true)), /This month is not over/)
  assert.equal(built(EXAMPLE, OCTOBER.toMs).provisional, false)
  assert.equal(built(EXAMPLE, AFTER_MS, NO_BILLING).invoice, null)
})

test('months', () => {
  for (const text of ['2026-13', '2026-1', '26-01', '2026-10-01', '1969-12', ''])
    assert.equal(parseMonth(text), null, text)
  assert.deepEqual(parseMonth('2026-12'), { text: '2026-12', fromMs: Date.UTC(2026, 11), toMs: Date.UTC(2027, 0) })
  assert.equal(monthOf(OCTOBER.toMs - 1).text, '2026-10')
  assert.equal(monthOf(OCTOBER.toMs).text, '2026-11')
})
