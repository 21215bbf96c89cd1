import type { Style } from '../../src/cli/output/style.ts'
import { type Column, renderTable } from '../../src/cli/output/table.ts'
import type { CheckResult, ClientResult } from './client.ts'

/** The results of a run as a table for a terminal. */

interface Line {
  readonly result: ClientResult
  /** Null for a client that did not run. */
  readonly check: CheckResult | null
}

/** A line per check, those that failed with their reason in full below. `width` as `renderTable` takes it. */
export function terminalReport(results: readonly ClientResult[], style: Style, width: number | null): string {
  const lines = results.flatMap((result): Line[] =>
    result.checks.length > 0 ? result.checks.map(check => ({ result, check })) : [{ result, check: null }],
  )
  const columns: Column<Line>[] = [
    { title: 'client', text: ({ result }) => result.client.id },
    { title: 'version', text: ({ result }) => result.version },
    { title: 'check', text: ({ check }) => check?.feature ?? '' },
    {
      title: 'result',
      text: ({ check }) => check?.verdict ?? 'not run',
      paint: (cell, { check }) => colourOf(check, style)(cell),
    },
    { title: 'input', text: ({ check }) => tokens(check, 'input'), right: true },
    { title: 'cached', text: ({ check }) => tokens(check, 'cached'), right: true },
    { title: 'output', text: ({ check }) => tokens(check, 'output'), right: true },
    { title: 'detail', text: ({ check, result }) => firstLine(check?.detail ?? result.notRun ?? ''), shrink: true },
  ]
  const failures = results
    .flatMap(({ checks }) => checks)
    .filter(({ verdict }) => verdict === 'failed')
    .map(({ client, feature, detail }) => `${style.red('failed')} ${client} ${feature}: ${detail}\n\n`)
  return `${renderTable(columns, lines, width, style)}\n${failures.join('')}${summary(results)}\n`
}

/** `43 passed, 0 failed, 2 limited, 1 client not run`. */
export function summary(results: readonly ClientResult[]): string {
  const checks = results.flatMap(result => result.checks)
  const count = (verdict: CheckResult['verdict']) => checks.filter(check => check.verdict === verdict).length
  const idle = results.filter(({ notRun }) => notRun !== null).length
  const unrun = idle === 0 ? '' : `, ${idle} ${idle === 1 ? 'client' : 'clients'} not run`
  return `${count('passed')} passed, ${count('failed')} failed, ${count('limited')} limited${unrun}`
}

/** What the ledger has, where the client tells the same count or should. */
function tokens(check: CheckResult | null, count: 'input' | 'cached' | 'output'): string {
  const usage = check?.usage
  return usage == null || usage.seen[count] === undefined ? '' : String(usage.ledger[count])
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? ''
}

function colourOf(check: CheckResult | null, style: Style): (text: string) => string {
  if (check === null || check.verdict === 'limited') return style.yellow
  return check.verdict === 'passed' ? style.green : style.red
}
