import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { USAGE_ABSENT } from '../inference/usage.ts'
import type { Settlement } from '../ledger/journal.ts'
import { ENDING_RULES, endingRule } from './ending-rule.ts'
import { settlement } from './testing.ts'

function check(parts: Partial<Settlement>, outputTokens: number, expected: keyof typeof ENDING_RULES): void {
  const usage = { ...USAGE_ABSENT, outputTokens, outputSource: 'reported' as const }
  assert.equal(endingRule(settlement({ usage, ...parts })), ENDING_RULES[expected], JSON.stringify(parts))
}

test('a settlement falls under one line of the table of endings', () => {
  check({}, 7, 'completed')
  check({ usage: { ...USAGE_ABSENT, outputTokens: 7, outputSource: 'counted' } }, 7, 'uncounted')
  check({ ending: 'exhausted' }, 7, 'exhausted')
  check({ ending: 'empty' }, 0, 'empty')
  check({ ending: 'failed', stream: true }, 0, 'failedFree')
  check({ ending: 'failed', stream: false }, 7, 'failedFree')
  check({ ending: 'failed', stream: true }, 7, 'failedStream')
  for (const ending of ['cancelled', 'timed_out', 'aborted'] as const) {
    check({ ending, upstreamId: '' }, 0, 'undispatched')
    check({ ending }, 0, 'beforeOutput')
    check({ ending }, 7, 'midOutput')
  }
})

test('the lines stand in the documents as they are told', () => {
  const table = readFileSync(new URL('../../docs/concepts/endings.md', import.meta.url), 'utf8')
    .split('\n')
    .filter(line => line.startsWith('|'))
    .map(line => line.replaceAll(/<a id="[^"]*"><\/a>|[`*]/g, '').replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1'))
  for (const { when, charged } of Object.values(ENDING_RULES)) {
    const [row = '', ...more] = table.filter(line => line.startsWith(`| ${when} |`))
    assert.deepEqual([more, row.endsWith(`| ${charged} |`)], [[], true], `${when}: ${row}`)
  }
})
