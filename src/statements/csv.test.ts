import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CsvError, csvRecords, csvRow, exact } from './csv.ts'

const read = csvRecords

function check(name: string, text: string, records: string[][]) {
  test(`reading CSV: ${name}`, () => assert.deepEqual(read(text), records))
}

check('plain', 'a,b\r\n1,2\r\n', [
  ['a', 'b'],
  ['1', '2'],
])
check('without a last line end', 'a,b\n1,2', [
  ['a', 'b'],
  ['1', '2'],
])
check('quotes, commas and lines within', 'a,"b ""x"", y\r\nz"\n', [['a', 'b "x", y\r\nz']])
check('empty fields, also the last', 'a,,\n,,\n', [
  ['a', '', ''],
  ['', '', ''],
])
check('an empty field at the very end', 'a,', [['a', '']])
check('semicolons', 'a;b;c\n1,5;2;3\n', [
  ['a', 'b', 'c'],
  ['1,5', '2', '3'],
])
check('tabs', 'a\tb\n1\t2\n', [
  ['a', 'b'],
  ['1', '2'],
])
check('a byte order mark and empty lines', '\ufeffa,b\n\n1,2\n', [
  ['a', 'b'],
  ['1', '2'],
])
check('nothing', '', [])

test('what is no CSV is told with its line', () => {
  assert.throws(() => read('a\nb,"c'), new CsvError('line 2: a quoted field has no end'))
  assert.throws(() => read('\ufeffa\r\nb,"c\r\nd\r\ne,f'), /^CsvError: line 2: a quoted field has no end/)
  assert.throws(() => read('"a"b,c\n'), /line 1: after a quoted field comes "b"/)
})

test('what is written is read back, but for formulas', () => {
  const text = fc.string({ unit: 'binary' }).filter(each => !/^[=+\-@\t\r\n]/.test(each))
  fc.assert(
    fc.property(fc.array(fc.array(text, { minLength: 2, maxLength: 5 }), { minLength: 1, maxLength: 5 }), rows => {
      // The header decides on the separator.
      const written = csvRow(['h', 'h', 'h', 'h', 'h', 'h']) + rows.map(row => csvRow(row)).join('')
      assert.deepEqual(read(written).slice(1), rows)
    }),
  )
})

test('no text is a formula to a spreadsheet; numbers stay numbers', () => {
  for (const text of ['=1+1', '+1', '-1', '@sum', '\t=1', '\r=1', "=cmd|' /C calc'!A0"]) {
    const [[cell = '']] = read(`${csvRow([text, 'x'])}`) as [string[]]
    assert.equal(cell, `'${text}`)
  }
  assert.equal(csvRow([exact('-1.50'), exact(3), null, 'a-b']), '-1.50,3,,a-b\r\n')
})
