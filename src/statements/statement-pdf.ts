import type { StatementView, ViewRow, ViewTable } from './statement-view.ts'

type Document = PDFKit.PDFDocument

const MARGIN_PT = 50
const ROW_GAP_PT = 5
const INK = '#16202c'
const SOFT = '#5b6876'
const LINE = '#c8d0d8'
const MARK = '#0b6e8f'
/** Where the columns of a table begin, as parts of its width; the last ends at its right edge. */
const COLUMN_SHARES: Readonly<Record<'charges' | 'entries', readonly number[]>> = {
  charges: [0.4, 0.18, 0.18, 0.24],
  entries: [0.13, 0.33, 0.32, 0.22],
}

/**
 * A statement or invoice as a PDF of A4 pages (which print on Letter without loss), made of text in the fonts that every reader
 * has. These hold Latin letters only: letters of other scripts become "?", and the HTML form is the one to print then.
 */
export async function statementPdf(view: StatementView, createdMs: number): Promise<Uint8Array> {
  // Loaded when needed: it takes longer to load than all else that a command needs.
  const { default: PdfDocument } = await import('pdfkit')
  const pdf = new PdfDocument({
    size: 'A4',
    margin: MARGIN_PT,
    bufferPages: true,
    info: {
      Title: `${view.title} ${view.subtitle}`,
      Producer: 'Headrace',
      Creator: 'Headrace',
      CreationDate: new Date(createdMs),
    },
  })
  const chunks: Buffer[] = []
  const done = new Promise<void>((resolve, reject) => {
    pdf.on('data', (chunk: Buffer) => chunks.push(chunk))
    pdf.on('end', resolve)
    pdf.on('error', reject)
  })
  drawHead(pdf, view)
  drawParties(pdf, view)
  drawSummary(pdf, view)
  for (const table of view.tables) drawTable(pdf, table)
  drawFooter(pdf, view)
  numberPages(pdf, view)
  pdf.end()
  await done
  return Buffer.concat(chunks)
}

function widthOf(pdf: Document): number {
  return pdf.page.width - 2 * MARGIN_PT
}

function bottomOf(pdf: Document): number {
  return pdf.page.height - MARGIN_PT - 20
}

function text(
  pdf: Document,
  words: string,
  x: number,
  y: number,
  options: { width: number; align?: 'right'; bold?: boolean; size?: number; colour?: string },
) {
  pdf
    .font(options.bold === true ? 'Helvetica-Bold' : 'Helvetica')
    .fontSize(options.size ?? 9)
    .fillColor(options.colour ?? INK)
    .text(latin(words), x, y, { width: options.width, align: options.align ?? 'left' })
}

function heightOf(pdf: Document, words: string, width: number, bold = false, size = 9): number {
  return pdf
    .font(bold ? 'Helvetica-Bold' : 'Helvetica')
    .fontSize(size)
    .heightOfString(latin(words), { width })
}

/** The standard fonts' encoding is Windows-1252; what it lacks would print as noise. */
function latin(words: string): string {
  return [...words.replaceAll('\u2212', '-')]
    .map(letter =>
      /[\u0020-\u007e\u00a0-\u00ff\u20ac\u2013\u2014\u2018\u2019\u201c\u201d\u2026]/.test(letter) ? letter : '?',
    )
    .join('')
}

function rule(pdf: Document, y: number, colour: string, thick: number): void {
  pdf
    .moveTo(MARGIN_PT, y)
    .lineTo(MARGIN_PT + widthOf(pdf), y)
    .lineWidth(thick)
    .strokeColor(colour)
    .stroke()
}

function drawHead(pdf: Document, view: StatementView): void {
  const width = widthOf(pdf)
  text(pdf, view.title, MARGIN_PT, MARGIN_PT, { width: width / 2, bold: true, size: 22 })
  text(pdf, view.subtitle, MARGIN_PT, MARGIN_PT + 28, { width: width / 2, size: 10, colour: SOFT })
  const leftEnd = pdf.y
  const x = MARGIN_PT + width * 0.54
  let y = MARGIN_PT + 4
  for (const [name, value] of view.facts) {
    text(pdf, name, x, y, { width: 55, colour: SOFT })
    text(pdf, value, x + 60, y, { width: width * 0.46 - 60 })
    y = pdf.y + 2
  }
  pdf.y = Math.max(y, leftEnd) + 8
  rule(pdf, pdf.y, MARK, 1.5)
  pdf.y += 14
  if (view.notice !== '') {
    text(pdf, view.notice, MARGIN_PT, pdf.y, { width, colour: '#8a5a00' })
    pdf.y += 10
  }
}

function drawParties(pdf: Document, view: StatementView): void {
  const top = pdf.y
  const width = widthOf(pdf) / 2
  let end = top
  for (const [index, party] of view.parties.entries()) {
    const x = MARGIN_PT + index * width
    text(pdf, party.role, x, top, { width: width - 12, size: 8, colour: SOFT })
    for (const [line, words] of party.lines.entries())
      text(pdf, words, x, pdf.y + 2, { width: width - 12, bold: line === 0 })
    end = Math.max(end, pdf.y)
  }
  pdf.y = view.parties.length === 0 ? top : end + 18
}

function drawSummary(pdf: Document, view: StatementView): void {
  const width = widthOf(pdf)
  for (const line of view.summary) {
    if (line.strong) rule(pdf, pdf.y - 2, LINE, 0.7)
    const y = pdf.y + 2
    text(pdf, line.name, MARGIN_PT, y, { width: width / 2, bold: line.strong, size: 10 })
    text(pdf, line.value, MARGIN_PT + width / 2, y, { width: width / 2, align: 'right', bold: line.strong, size: 10 })
    pdf.y += 4
  }
}

function drawTable(pdf: Document, table: ViewTable): void {
  const shares = COLUMN_SHARES[table.title === 'Charges' ? 'charges' : 'entries']
  const width = widthOf(pdf)
  const head = () => {
    drawCells(pdf, { kind: 'line', cells: table.columns.map(column => column.title) }, table, shares, SOFT)
    rule(pdf, pdf.y, LINE, 0.7)
    pdf.y += 4
  }
  // A title is not left alone at the foot of a page.
  if (pdf.y + 90 > bottomOf(pdf)) pdf.addPage()
  text(pdf, table.title, MARGIN_PT, pdf.y + 18, { width, bold: true, size: 12 })
  pdf.y += 6
  head()
  for (const [index, row] of table.rows.entries()) {
    // The head of a group is not left alone at the foot of a page, nor is a total.
    const next = table.rows[index + 1]
    const together =
      row.kind === 'group' || next?.kind === 'total' ? [row, ...(next === undefined ? [] : [next])] : [row]
    const height = together.reduce((sum, each) => sum + rowHeight(pdf, each, shares) + ROW_GAP_PT, 0)
    if (pdf.y + height > bottomOf(pdf)) {
      pdf.addPage()
      head()
    } else if ((row.kind === 'group' && index > 0) || row.kind === 'total') {
      rule(pdf, pdf.y, LINE, row.kind === 'total' ? 1.2 : 0.5)
      pdf.y += 4
    }
    drawCells(pdf, row, table, shares, INK)
  }
}

function rowHeight(pdf: Document, row: ViewRow, shares: readonly number[]): number {
  return Math.max(
    ...row.cells.map((cell, column) =>
      heightOf(pdf, cell, widthOf(pdf) * (shares[column] ?? 0) - 20, row.kind !== 'line'),
    ),
  )
}

function drawCells(pdf: Document, row: ViewRow, table: ViewTable, shares: readonly number[], colour: string): void {
  const width = widthOf(pdf)
  const top = pdf.y
  const bold = row.kind !== 'line'
  let x = MARGIN_PT
  let end = top
  for (const [index, cell] of row.cells.entries()) {
    const last = index === row.cells.length - 1
    const cellWidth = width * (shares[index] ?? 0)
    const indent = table.title === 'Charges' && index === 0 && !bold && colour === INK ? 10 : 0
    text(pdf, cell, x + indent, top, {
      width: cellWidth - indent - (last ? 0 : 10),
      bold,
      colour: indent > 0 ? SOFT : colour,
      ...(table.columns[index]?.numeric === true ? { align: 'right' as const } : {}),
    })
    end = Math.max(end, cell === '' ? top : pdf.y)
    x += cellWidth
  }
  pdf.y = end + ROW_GAP_PT
}

function drawFooter(pdf: Document, view: StatementView): void {
  const width = widthOf(pdf)
  const height = view.footer.reduce((sum, line) => sum + heightOf(pdf, line, width, false, 8) + 4, 30)
  if (pdf.y + height > bottomOf(pdf)) pdf.addPage()
  pdf.y += 22
  rule(pdf, pdf.y, LINE, 0.7)
  pdf.y += 8
  for (const line of view.footer) {
    text(pdf, line, MARGIN_PT, pdf.y, { width, size: 8, colour: SOFT })
    pdf.y += 4
  }
}

function numberPages(pdf: Document, view: StatementView): void {
  const { start, count } = pdf.bufferedPageRange()
  for (let page = start; page < start + count; page++) {
    pdf.switchToPage(page)
    // Text beside the margin would otherwise open another page.
    pdf.page.margins.bottom = 0
    const y = pdf.page.height - MARGIN_PT + 8
    const width = widthOf(pdf)
    text(pdf, `${view.title} ${view.subtitle}`, MARGIN_PT, y, { width: width - 80, size: 8, colour: SOFT })
    text(pdf, `${page - start + 1} / ${count}`, MARGIN_PT + width - 80, y, {
      width: 80,
      align: 'right',
      size: 8,
      colour: SOFT,
    })
  }
}
