import { CsvError as ParseError, parse } from 'csv-parse/sync'

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
 * Records of a CSV text, all fields as text; the separator is comma, semicolon or tab, whichever the first line has most of.
 * Empty lines and a byte order mark are skipped. Throws `CsvError` for quotes that do not match.
 */
export function csvRecords(text: string): string[][] {
  try {
    return parse(text, {
      bom: true,
      delimiter: separatorOf(text),
      record_delimiter: ['\r\n', '\n', '\r'],
      relax_column_count: true,
      skip_empty_lines: true,
    })
  } catch (error) {
    throw error instanceof ParseError ? new CsvError(describe(error, text), { cause: error }) : error
  }
}

function describe(error: ParseError, text: string): string {
  if (error.code === 'CSV_QUOTE_NOT_CLOSED') {
    // The parser knows where the text ends; what helps is where the record begins that swallowed the rest.
    const before = Buffer.from(text).subarray(0, Number(error.bytes_records)).toString()
    return `line ${before.split(/\r\n|\n|\r/).length}: a quoted field has no end`
  }
  const found = /got "(.*?)" at line/s.exec(error.message)?.[1]
  if (error.code === 'CSV_INVALID_CLOSING_QUOTE' && found !== undefined)
    return `line ${error.lines}: after a quoted field comes ${JSON.stringify(found)}, not a separator`
  return error.message
}

function separatorOf(text: string): string {
  const line = /^[^\r\n]*/.exec(text)?.[0] ?? ''
  const count = (separator: string) => line.split(separator).length
  return [',', ';', '\t'].reduce((best, each) => (count(each) > count(best) ? each : best))
}
