import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createProgress } from './progress.ts'
import { createStyle, printable, printableLines, wantsColour, widthOf } from './style.ts'
import { type Column, renderTable } from './table.ts'
import { formatBytes, formatCount, formatDuration, formatMoney, formatTime } from './units.ts'

const PLAIN = createStyle(false)

interface Row {
  name: string
  tokens: number
  charge: string
}

const COLUMNS: Column<Row>[] = [
  { title: 'NAME', text: row => row.name, shrink: true },
  { title: 'TOKENS', text: row => formatCount(row.tokens), right: true },
  { title: 'CHARGE', text: row => formatMoney(row.charge), right: true },
]

const ROWS: Row[] = [
  { name: 'a', tokens: 12, charge: '0.00' },
  { name: 'deepseek-ai/DeepSeek-V4-Flash', tokens: 1_234_567, charge: '0.000000001' },
]

function checkTable(width: number | null, ...lines: string[]) {
  test(`table at width ${width}`, () => assert.equal(renderTable(COLUMNS, ROWS, width, PLAIN), `${lines.join('\n')}\n`))
}

checkTable(
  null,
  'NAME                              TOKENS        CHARGE',
  'a                                     12         $0.00',
  'deepseek-ai/DeepSeek-V4-Flash  1,234,567  $0.000000001',
)
checkTable(
  40,
  'NAME                TOKENS        CHARGE',
  'a                       12         $0.00',
  'deepseek-ai/De…  1,234,567  $0.000000001',
)
// Too narrow for the numbers: the table overflows rather than lose a digit.
checkTable(
  10,
  'NAME         TOKENS        CHARGE',
  'a                12         $0.00',
  'deepsee…  1,234,567  $0.000000001',
)

test('a table without rows has its titles', () => {
  assert.equal(renderTable(COLUMNS, [], null, PLAIN), 'NAME  TOKENS  CHARGE\n')
})

test('a cell cannot steer the terminal', () => {
  const table = renderTable(COLUMNS, [{ name: 'x\x1b[31m\ny\x07', tokens: 1, charge: '1.00' }], null, PLAIN)
  assert.equal(table.split('\n')[1], 'x y        1   $1.00')
})

test('colour takes no width', () => {
  const style = createStyle(true)
  assert.equal(widthOf(style.red('abc')), 3)
  const columns: Column<Row>[] = [{ title: 'NAME', text: row => row.name, paint: style.red }, ...COLUMNS.slice(1)]
  const table = renderTable(columns, ROWS.slice(0, 1), null, style)
  assert.equal(table.split('\n')[1], `${style.red('a')}         12   $0.00`)
})

for (const [isTerminal, env, flag, expected] of [
  [true, {}, undefined, true],
  [false, {}, undefined, false],
  [true, { NO_COLOR: '1' }, undefined, false],
  [true, { NO_COLOR: '' }, undefined, true],
  [true, { TERM: 'dumb' }, undefined, false],
  [true, {}, false, false],
] as const) {
  test(`colour on ${isTerminal ? 'a terminal' : 'a pipe'} with ${JSON.stringify(env)} and ${flag}`, () => {
    assert.equal(wantsColour(isTerminal, env, flag), expected)
  })
}

test('control characters go', () => {
  assert.equal(printable('a\x1b[2Jb\rc\u009bd'), 'ab c d')
  assert.equal(printableLines('a\n\tb\x1b]0;title\x07\r'), 'a\n\tb]0;title')
})

for (const [actual, expected] of [
  [formatBytes(0), '0 B'],
  [formatBytes(1023), '1023 B'],
  [formatBytes(1024), '1.0 KiB'],
  [formatBytes(1_048_575), '1.0 MiB'],
  [formatBytes(283_700_000), '270.6 MiB'],
  [formatBytes(5 * 1024 ** 5), '5120.0 TiB'],
  [formatDuration(0.4), '0 ms'],
  [formatDuration(640), '640 ms'],
  [formatDuration(999.7), '1.0 s'],
  [formatDuration(12_345), '12.3 s'],
  [formatDuration(59_990), '1 min 00 s'],
  [formatDuration(245_000), '4 min 05 s'],
  [formatDuration(7_380_000), '2 h 03 min'],
  [formatMoney('5.00'), '$5.00'],
  [formatMoney('-0.000000001'), '-$0.000000001'],
  [formatTime('2026-01-31T12:00:00.123Z'), '2026-01-31 12:00:00'],
]) {
  test(`units: ${expected}`, () => assert.equal(actual, expected))
}

function progress(isTerminal: boolean, columns = 80) {
  let nowMs = 0
  let text = ''
  const shown = createProgress({
    write: written => {
      text += written
    },
    isTerminal,
    columns,
    monotonicMs: () => nowMs,
    style: PLAIN,
  })
  return {
    at(atMs: number, done: number, total: number | null) {
      nowMs = atMs
      shown.update('model', done, total)
    },
    end: () => shown.end(),
    take() {
      const taken = text
      text = ''
      return taken
    },
  }
}

const MIB = 1024 * 1024

test('progress on a terminal repaints one line, at a readable pace, with speed and time left', () => {
  const bar = progress(true)
  bar.at(0, 0, 100 * MIB)
  assert.equal(bar.take(), '\r\x1b[Kmodel  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░    0%  0 B of 100.0 MiB')
  bar.at(50, MIB, 100 * MIB)
  assert.equal(bar.take(), '')
  bar.at(1_000, 25 * MIB, 100 * MIB)
  assert.equal(bar.take(), '\r\x1b[Kmodel  █████░░░░░░░░░░░░░░   25%  25.0 MiB of 100.0 MiB  25.0 MiB/s  3.0 s left')
  bar.at(1_001, 100 * MIB, 100 * MIB)
  assert.match(bar.take(), /100% {2}100.0 MiB of 100.0 MiB {2}99.9 MiB\/s$/)
  bar.end()
  assert.equal(bar.take(), '\n')
  bar.end()
  assert.equal(bar.take(), '')
})

test('progress never wraps a narrow terminal', () => {
  const bar = progress(true, 24)
  bar.at(0, 5 * MIB, 100 * MIB)
  assert.equal(bar.take().slice(4).length, 23)
})

test('progress elsewhere is a line each tenth', () => {
  const bar = progress(false)
  for (let percent = 0; percent <= 100; percent++) bar.at(percent * 10, percent * MIB, 100 * MIB)
  bar.end()
  assert.deepEqual(
    bar.take().trimEnd().split('\n'),
    [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100].map(percent => `model: ${percent}% of 100.0 MiB`),
  )
})

test('progress of unknown length is a line each 64 MiB', () => {
  const bar = progress(false)
  for (let done = 0; done <= 130; done++) bar.at(done, done * MIB, null)
  assert.equal(bar.take(), 'model: 0 B\nmodel: 64.0 MiB\nmodel: 128.0 MiB\n')
})
