import type { CheckResult, ClientResult } from './client.ts'

/** The results of a run of all clients as `docs/reference/clients.md`. */

const ABILITIES = ['chat', 'stream', 'tools', 'structured', 'reasoning', 'completions', 'embeddings', 'models'] as const
const FAILURES = ['401', '402', '404', '413', '429', '503', 'cut', 'cancel'] as const
const MARKS = { passed: '✓', limited: '–', failed: '✗' } as const

/** The whole document. Nothing in it depends on the machine or the hour, but on what could not run there. */
export function document(results: readonly ClientResult[]): string {
  const notes: string[] = []
  return [
    '# Clients',
    '',
    'Client libraries and programs that run unchanged against Headrace, and what of each was tried. `npm run test:clients` runs them all, on',
    'loopback, and writes this page with `-- --write`. [Guides: clients](../guides/clients.md) says how each is pointed here.',
    '',
    '## What works',
    '',
    '✓ passed; ✗ failed; – cannot pass, for the reason that its number gives; empty: the client has no such thing, or it was not tried.',
    '*Usage* is ✓ where every token count that the client told, cached and reasoning tokens included, is that of the ledger.',
    '',
    ...table(
      ['Client', 'Version', ...ABILITIES.map(heading), 'Usage', 'Also'],
      results.map(result => [
        result.client.title,
        result.version,
        ...(result.notRun === null
          ? [...ABILITIES.map(feature => mark(result, feature, notes)), usageMark(result), also(result, notes)]
          : [...ABILITIES.map(() => ''), '', `not run: ${result.notRun}`]),
      ]),
    ),
    '',
    '## What arrives when something is wrong',
    '',
    'Each refusal arrives as the error that the client has for its status, and 402 is asked once. *Cut* is an upstream that dies in the',
    'middle of a stream: an error, never a short answer. *Cancel* is a client that leaves: the ledger says so, and charges what was made.',
    '',
    ...table(
      ['Client', ...FAILURES.map(heading)],
      results
        .filter(({ notRun }) => notRun === null)
        .map(result => [result.client.title, ...FAILURES.map(feature => mark(result, feature, notes))]),
    ),
    ...(notes.length === 0 ? [] : ['', '## Reasons', '', ...notes.map((note, index) => `${index + 1}. ${note}`)]),
    '',
  ].join('\n')
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)]
}

function heading(feature: string): string {
  return feature.slice(0, 1).toUpperCase() + feature.slice(1)
}

function mark(result: ClientResult, feature: string, notes: string[]): string {
  const check = result.checks.find(each => each.feature === feature)
  if (check === undefined) return ''
  return check.verdict === 'limited' ? `${MARKS.limited} ${noteOf(check, notes)}` : MARKS[check.verdict]
}

function noteOf({ detail }: CheckResult, notes: string[]): number {
  if (!notes.includes(detail)) notes.push(detail)
  return notes.indexOf(detail) + 1
}

function usageMark({ checks }: ClientResult): string {
  const told = checks.filter(({ usage }) => usage !== null)
  if (told.length === 0) return ''
  return told.every(({ verdict }) => verdict === 'passed') ? MARKS.passed : MARKS.failed
}

/** Checks that have no column, with what became of them where they did not pass. */
function also(result: ClientResult, notes: string[]): string {
  const columns: readonly string[] = [...ABILITIES, ...FAILURES]
  return result.checks
    .filter(({ feature }) => !columns.includes(feature))
    .map(({ feature, verdict }) => (verdict === 'passed' ? feature : `${feature} ${mark(result, feature, notes)}`))
    .join(', ')
}
