import { csvRow, exact } from './csv.ts'
import type { Statement } from './statement.ts'

const HEADER = ['section', 'date', 'id', 'description', 'model', 'price', 'class', 'quantity', 'unit_price', 'amount']

/**
 * A statement as one table. The column `amount` is signed, so that opening, credits, charges and corrections sum to closing.
 * A charge's lines are exact to a trillionth of a dollar; its `difference` makes them the charge.
 */
export function statementCsv(statement: Statement): string {
  const rows = [csvRow(HEADER)]
  const add = (section: string, values: Partial<Record<(typeof HEADER)[number], string | number | null>>) => {
    const text = (name: string) => (values[name] === undefined ? null : (values[name] as string | null))
    rows.push(
      csvRow([
        section,
        exact(values.date),
        text('id'),
        text('description'),
        text('model'),
        text('price'),
        text('class'),
        exact(values.quantity),
        exact(values.unit_price),
        exact(values.amount),
      ]),
    )
  }
  add('opening', { date: statement.from, amount: statement.opening_balance })
  for (const entry of statement.credits)
    add('credit', { date: entry.at, id: entry.id, description: entry.memo, amount: entry.amount })
  for (const charge of statement.charges) {
    for (const line of charge.lines) {
      add('charge', {
        model: charge.model,
        price: charge.price,
        class: line.class,
        quantity: line.quantity,
        unit_price: line.unit_price,
        amount: negated(line.amount),
      })
    }
    if (charge.difference !== '0.00')
      add('charge', {
        model: charge.model,
        price: charge.price,
        class: 'difference',
        amount: negated(charge.difference),
      })
  }
  for (const entry of statement.corrections)
    add('correction', { date: entry.at, id: entry.id, description: entry.memo ?? entry.kind, amount: entry.amount })
  add('closing', { date: statement.to, amount: statement.closing_balance })
  return rows.join('')
}

function negated(decimal: string): string {
  if (decimal.startsWith('-')) return decimal.slice(1)
  return /^0\.0+$/.test(decimal) ? decimal : `-${decimal}`
}
