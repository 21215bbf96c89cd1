import type { Invoice, Party } from './invoice.ts'
import type { PriceClass } from './price-classes.ts'
import type { Statement, StatementCharge, StatementEntry } from './statement.ts'

/** A table of a printed statement. Cells are text; `numeric` columns are aligned right. */
export interface ViewTable {
  readonly title: string
  readonly columns: readonly { readonly title: string; readonly numeric: boolean }[]
  readonly rows: readonly ViewRow[]
}

/** `group` opens a group, `total` closes a table; both stand out. */
export interface ViewRow {
  readonly kind: 'group' | 'line' | 'total'
  readonly cells: readonly string[]
}

/** What a statement or an invoice shows, for whatever draws it. */
export interface StatementView {
  /** `Statement` or `Invoice`. */
  readonly title: string
  readonly subtitle: string
  /** A sentence to heed; empty when there is none. */
  readonly notice: string
  readonly facts: readonly (readonly [name: string, value: string])[]
  readonly parties: readonly { readonly role: string; readonly lines: readonly string[] }[]
  readonly summary: readonly { readonly name: string; readonly value: string; readonly strong: boolean }[]
  readonly tables: readonly ViewTable[]
  readonly footer: readonly string[]
}

const CLASS_NAMES: Readonly<Record<PriceClass, string>> = {
  input: 'Input tokens',
  cached_input: 'Cached input tokens',
  output: 'Output tokens',
  request: 'Requests',
}

/** The display of a statement; of the invoice over it when `asInvoice` and there is one. */
export function viewOf(statement: Statement, asInvoice: boolean): StatementView {
  const invoice = asInvoice ? statement.invoice : null
  const period = `${day(statement.from)} to ${day(lastDay(statement.to))} (UTC)`
  return {
    title: invoice === null ? 'Statement' : 'Invoice',
    subtitle: invoice === null ? `${statement.org.name}, ${monthName(statement.month)}` : invoice.number,
    notice: statement.provisional ? 'This month is not over: the amounts may still grow.' : '',
    facts: [
      ...(invoice === null ? [] : [['Number', invoice.number] as const, ['Issued', day(statement.to)] as const]),
      ['Period', period],
      ['Account', statement.org.id],
      ['Currency', 'US dollars'],
    ],
    parties: invoice === null ? [] : [partyOf('From', invoice.seller), partyOf('To', invoice.customer)],
    summary: invoice === null ? balanceSummary(statement) : invoiceSummary(invoice),
    tables: [
      chargeTable(statement.charges, statement.charges_total),
      ...(invoice === null
        ? [
            entryTable('Credits', statement.credits, statement.credits_total),
            entryTable('Corrections', statement.corrections, statement.corrections_total),
          ]
        : []),
    ].filter(table => table.rows.length > 0),
    footer: [
      ...(invoice?.note == null ? [] : [invoice.note]),
      ...(invoice === null ? [] : ['Charges were taken from prepaid credit as they arose. Amounts are in US dollars.']),
      'Tokens are charged at the price that was in force when a request was admitted; each charge is rounded once, half to even, to a billionth of a dollar. Amounts of single lines are exact.',
    ],
  }
}

function balanceSummary(statement: Statement): StatementView['summary'] {
  const { opening_balance, credits_total, charges_total, corrections_total, closing_balance } = statement
  const amounts = [opening_balance, credits_total, charges_total, corrections_total, closing_balance]
  const places = Math.max(...amounts.map(placesOf))
  const line = (name: string, amount: string, strong = false) => ({
    name,
    value: dollars(padded(amount, places)),
    strong,
  })
  return [
    line('Opening balance', opening_balance),
    line('Credits', credits_total),
    line('Charges', minus(charges_total)),
    ...(statement.corrections.length === 0 ? [] : [line('Corrections', corrections_total)]),
    line('Closing balance', closing_balance, true),
  ]
}

function invoiceSummary(invoice: Invoice): StatementView['summary'] {
  const line = (name: string, value: string, strong = false) => ({ name, value, strong })
  return [
    line('Charges, exact', dollars(invoice.subtotal)),
    line('Rounding to cents', dollars(invoice.rounding)),
    line('Net', dollars(invoice.net)),
    line(`Tax (${invoice.tax_rate} %)`, dollars(invoice.tax)),
    line('Total', dollars(invoice.total), true),
    line('Paid from prepaid credit', dollars(minus(invoice.paid))),
    line('Amount due', dollars(invoice.due), true),
  ]
}

function chargeTable(charges: readonly StatementCharge[], total: string): ViewTable {
  const lines = charges.flatMap(charge => [...charge.lines.map(line => line.amount), charge.difference, charge.charge])
  const places = Math.max(...lines.map(placesOf), placesOf(total))
  const rows = charges.flatMap((charge): ViewRow[] => [
    {
      kind: 'group',
      cells: [
        charge.model,
        `${count(charge.requests)} ${charge.requests === 1 ? 'request' : 'requests'}`,
        '',
        dollars(padded(charge.charge, places)),
      ],
    },
    ...charge.lines.map(
      (line): ViewRow => ({
        kind: 'line',
        cells: [
          CLASS_NAMES[line.class],
          count(line.quantity),
          `$${line.unit_price} ${line.class === 'request' ? 'each' : '/ M'}`,
          dollars(padded(line.amount, places)),
        ],
      }),
    ),
    ...(isZero(charge.difference)
      ? []
      : [
          {
            kind: 'line',
            cells: ['Rounding, and work not charged', '', '', dollars(padded(charge.difference, places))],
          } as const,
        ]),
  ])
  return {
    title: 'Charges',
    columns: [
      { title: 'Model and class', numeric: false },
      { title: 'Quantity', numeric: true },
      { title: 'Unit price', numeric: true },
      { title: 'Amount', numeric: true },
    ],
    rows:
      rows.length === 0
        ? []
        : [...rows, { kind: 'total', cells: ['All charges', '', '', dollars(padded(total, places))] }],
  }
}

function entryTable(title: string, entries: readonly StatementEntry[], total: string): ViewTable {
  const places = Math.max(...entries.map(entry => placesOf(entry.amount)), placesOf(total))
  const rows = entries.map(
    (entry): ViewRow => ({
      kind: 'line',
      cells: [
        day(entry.at),
        entry.memo ?? (entry.kind === 'credit' ? 'Credit added' : entry.kind),
        entry.id,
        dollars(padded(entry.amount, places)),
      ],
    }),
  )
  return {
    title,
    columns: [
      { title: 'Date', numeric: false },
      { title: 'For', numeric: false },
      { title: 'Id', numeric: false },
      { title: 'Amount', numeric: true },
    ],
    rows:
      rows.length === 0
        ? []
        : [...rows, { kind: 'total', cells: [`All ${title.toLowerCase()}`, '', '', dollars(padded(total, places))] }],
  }
}

function partyOf(role: string, party: Party): StatementView['parties'][number] {
  return { role, lines: [party.name, ...party.address, ...(party.tax_id === null ? [] : [`Tax ID ${party.tax_id}`])] }
}

/** `-$1.50`; a true minus sign. */
function dollars(decimal: string): string {
  return decimal.startsWith('-') ? `\u2212$${grouped(decimal.slice(1))}` : `$${grouped(decimal)}`
}

function grouped(decimal: string): string {
  const [whole = '', fraction = ''] = decimal.split('.')
  return `${whole.replaceAll(/\B(?=(\d{3})+$)/g, ',')}.${fraction}`
}

function minus(decimal: string): string {
  if (decimal.startsWith('-')) return decimal.slice(1)
  return isZero(decimal) ? decimal : `-${decimal}`
}

function isZero(decimal: string): boolean {
  return /^0\.0*$/.test(decimal)
}

function placesOf(decimal: string): number {
  return decimal.split('.')[1]?.length ?? 0
}

/** The same amount with so many places, so that the points of a column stand under each other. */
function padded(decimal: string, places: number): string {
  return decimal + '0'.repeat(places - placesOf(decimal))
}

function count(quantity: number): string {
  return quantity.toLocaleString('en-US')
}

function day(time: string): string {
  return time.slice(0, 10)
}

function lastDay(exclusiveEnd: string): string {
  return new Date(Date.parse(exclusiveEnd) - 1).toISOString()
}

function monthName(month: string): string {
  return new Date(`${month}-01T00:00:00Z`).toLocaleDateString('en-US', {
    month: 'long',
    year: 'numeric',
    timeZone: 'UTC',
  })
}
