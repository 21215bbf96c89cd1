/** A value of a row: text is made safe for spreadsheets, numbers and money, which we format ourselves, go as they are. */
export type CsvValue = string | { readonly exact: string | number } | null

/** Marks a number, a decimal string or a time as such: it is written as it is. Null stays empty. */
export function exact(value: string | number | null | undefined): CsvValue {
  return value === null || value === undefined ? null : { exact: value }
}

/** What a spreadsheet takes as the beginning of a formula. https://owasp.org/www-community/attacks/CSV_Injection */
const FORMULA = /^[=+\-@\t\r\n]/

/**
 * One record by RFC 4180, CRLF at its end. Text that a spreadsheet would run as a formula gets an apostrophe in front, which
 * spreadsheets take as "this is text". Null is an empty field.
 */
export function csvRow(values: readonly CsvValue[]): string {
  return `${values.map(field).join(',')}\r\n`
}

function field(value: CsvValue): string {
  if (value === null) return ''
  if (typeof value === 'object') return String(value.exact)
  const text = FORMULA.test(value) ? `'${value}` : value
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** The text was no CSV. The message says where. */
export class CsvError extends Error {
  override name = 'CsvError'
}

/**
 * Records of a CSV text, one at a time; the separator is comma, semicolon or tab, whichever the first line has most of. Empty
 * lines and a byte order mark are skipped. Throws `CsvError` for a quoted field without an end.
 */
export function* csvRecords(text: string): Generator<string[]> {
  let at = text.charCodeAt(0) === 0xfeff ? 1 : 0
  const separator = separatorOf(text)
  let record: string[] = []
  while (at < text.length) {
    const { value, next } = text[at] === '"' ? quoted(text, at) : plain(text, at, separator)
    record.push(value)
    at = next
    if (at < text.length && text[at] !== separator && text[at] !== '\r' && text[at] !== '\n') {
      throw new CsvError(
        `line ${lineAt(text, at)}: after a quoted field comes ${JSON.stringify(text[at])}, not a separator`,
      )
    }
    if (text[at] === separator) {
      at++
      if (at < text.length) continue
      record.push('')
    }
    if (text[at] === '\r') at++
    if (text[at] === '\n') at++
    if (record.length > 1 || record[0] !== '') yield record
    record = []
  }
}

function separatorOf(text: string): string {
  const line = /^[^\r\n]*/.exec(text)?.[0] ?? ''
  const count = (separator: string) => line.split(separator).length
  return [',', ';', '\t'].reduce((best, each) => (count(each) > count(best) ? each : best))
}

function plain(text: string, start: number, separator: string): { value: string; next: number } {
  let end = start
  while (end < text.length && text[end] !== separator && text[end] !== '\n' && text[end] !== '\r') end++
  return { value: text.slice(start, end), next: end }
}

function quoted(text: string, start: number): { value: string; next: number } {
  let value = ''
  let at = start + 1
  for (;;) {
    const end = text.indexOf('"', at)
    if (end === -1) throw new CsvError(`line ${lineAt(text, start)}: a quoted field has no end`)
    value += text.slice(at, end)
    if (text[end + 1] !== '"') return { value, next: end + 1 }
    value += '"'
    at = end + 2
  }
}

function lineAt(text: string, at: number): number {
  return text.slice(0, at).split('\n').length
}
