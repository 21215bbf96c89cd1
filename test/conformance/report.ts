import { renderTable } from '../../src/cli/output/table.ts'
import { createStyle, type Style } from '../../src/cli/output/style.ts'
import type { CheckResult, ClientResult } from './client.ts'

/** The results as a table for a terminal, and as the document of clients. */

/** Columns of the tables, in this order; other features follow as they come up. */
const FEATURES = ['chat', 'stream', 'tools', 'structured', 'reasoning', 'completions', 'embeddings', 'models'] as const
const MARKS = { passed: '✓', limited: '–', failed: '✗' } as const

/** A line per check, those that failed with their reason in full below. */
export function terminalReport(results: readonly ClientResult[], style: Style, width: number | null): string {
  const rows = results.flatMap((result): { result: ClientResult; check: CheckResult | null }[] =>
    result.checks.length > 0 ? result.checks.map(check => ({ result, check })) : [{ result, check: null }],
  )
  const table = renderTable(
    [
      { title: 'client', text: row => `${row.result.client.title} ${row.result.version}` },
      { title: 'check', text: row => row.check?.feature ?? '' },
      {
        title: 'result',
        text: row => row.check?.verdict ?? 'not run',
        paint: (cell, row) => colourOf(row.check, style)(cell),
      },
      { title: 'usage', text: row => usageWord(row.check) },
      { title: 'detail', text: row => (row.check === null ? (row.result.notRun ?? '') : row.check.detail), shrink: true },
    ],
    rows,
    width,
    style,
  )
  const failures = results
    .flatMap(({ checks }) => checks)
    .filter(({ verdict }) => verdict === 'failed')
    .map(({ client, feature, detail }) => `${style.red('✗')} ${client} ${feature}: ${detail}\n`)
  return `${table}\n${failures.join('')}${summary(results)}\n`
}

/** `43 passed, 0 failed, 2 limited, 1 client not run`. */
export function summary(results: readonly ClientResult[]): string {
  const checks = results.flatMap(result => result.checks)
  const count = (verdict: CheckResult['verdict']) => checks.filter(check => check.verdict === verdict).length
  const idle = results.filter(({ notRun }) => notRun !== null).length
  return `${count('passed')} passed, ${count('failed')} failed, ${count('limited')} limited, ${idle} clients not run`
}

function usageWord(check: CheckResult | null): string {
  if (check === null || check.usage === null) return ''
  return Object.keys(check.usage.seen).length === 0 ? 'not told' : `${check.usage.ledger.input}+${check.usage.ledger.output}`
}

function colourOf(check: CheckResult | null, style: Style): (text: string) => string {
  if (check === null || check.verdict === 'limited') return style.yellow
  return check.verdict === 'passed' ? style.green : style.red
}

/** The document `docs/reference/clients.md`. */
export function markdownReport(results: readonly ClientResult[]): string {
  const found = new Set(results.flatMap(({ checks }) => checks.map(({ feature }) => feature)))
  const columns = [...FEATURES.filter(each => found.has(each)), ...[...found].filter(each => !FEATURES.includes(each as never))]
  void createStyle
  return columns.join(' ')
}
