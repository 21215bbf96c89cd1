import { printable, type Style, widthOf } from './style.ts'

/** A column of a table. */
export interface Column<Row> {
  readonly title: string
  readonly text: (row: Row) => string
  /** Numbers and money stand right-aligned. */
  readonly right?: boolean
  /** May be cut short, with an ellipsis, where the terminal is narrow. Never set for money and counts. */
  readonly shrink?: boolean
  /** Colours a finished cell. */
  readonly paint?: (cell: string, row: Row) => string
}

const GAP = '  '
const SHRUNK_MIN = 8

/**
 * Rows under titles, aligned. `width` is the terminal's, or null for as wide as it gets: then nothing is cut. A table
 * that does not fit even with its texts cut overflows, rather than lose a digit.
 */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number | null,
  style: Style,
): string {
  const cells = rows.map(row => columns.map(column => printable(column.text(row))))
  const widths = columns.map((column, index) =>
    Math.max(widthOf(column.title), ...cells.map(row => widthOf(row[index] ?? ''))),
  )
  if (width !== null) shrink(columns, widths, width)

  const line = (texts: readonly string[], paint: (cell: string, column: number) => string) =>
    columns
      .map((column, index) => {
        const text = cut(texts[index] ?? '', widths[index] ?? 0)
        const padding = ' '.repeat((widths[index] ?? 0) - widthOf(text))
        const last = index === columns.length - 1
        return column.right ? padding + paint(text, index) : paint(text, index) + (last ? '' : padding)
      })
      .join(GAP)
  const head = line(
    columns.map(column => column.title),
    cell => style.dim(cell),
  )
  const body = cells.map((row, rowIndex) =>
    line(row, (cell, index) => columns[index]?.paint?.(cell, rows[rowIndex] as Row) ?? cell),
  )
  return `${[head, ...body].join('\n')}\n`
}

/** Takes from the widest column that may shrink, until the table fits or nothing may shrink further. */
function shrink<Row>(columns: readonly Column<Row>[], widths: number[], width: number): void {
  let excess = widths.reduce((sum, each) => sum + each, 0) + GAP.length * (columns.length - 1) - width
  while (excess > 0) {
    let widest = -1
    for (const [index, column] of columns.entries()) {
      if (column.shrink && (widths[index] ?? 0) > Math.max(SHRUNK_MIN, widths[widest] ?? 0)) widest = index
    }
    if (widest === -1) return
    widths[widest] = (widths[widest] ?? 0) - 1
    excess--
  }
}

function cut(text: string, width: number): string {
  const letters = [...text]
  return letters.length <= width ? text : `${letters.slice(0, width - 1).join('')}…`
}

/** Names and values under each other, the values aligned. */
export function renderFields(fields: readonly (readonly [name: string, value: string])[], style: Style): string {
  const width = Math.max(...fields.map(([name]) => widthOf(name)))
  return fields
    .map(([name, value]) => `${style.dim(name)}${' '.repeat(width - widthOf(name))}${GAP}${value}\n`)
    .join('')
}
