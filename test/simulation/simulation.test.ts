import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ENDING_LINES } from '../../src/simulation/ending-lines.ts'
import { UPSTREAM_FAULTS } from '../../src/simulation/simulated-attempt.ts'
import { CLIENT_FAULTS } from '../../src/simulation/simulated-client.ts'
import { JOURNAL_FAULTS } from '../../src/simulation/simulated-journal.ts'
import { CREDIT_FAULTS } from './credit-changes.ts'
import { type Outcome, PROCESS_FAULTS, REPEAT_FAULTS, runScenario } from './scenario.ts'

/**
 * The production pipeline, admission, books, settlement, router and protocols on simulated time, with simulated clients,
 * upstreams and disk. `SEEDS=10000 FIRST=1 npm test -- simulation` runs more of them.
 */
const SEEDS = Number(process.env.SEEDS ?? 600)
const FIRST = Number(process.env.FIRST ?? 1)
/** From so many seeds on every fault has to have been injected. */
const SEEDS_FOR_ALL_FAULTS = 600

const ENDINGS = ['completed', 'cancelled', 'timed_out', 'aborted', 'failed', 'exhausted', 'empty']

test(`money is right in every ending, seeds ${FIRST} to ${FIRST + SEEDS - 1}`, async t => {
  const faults = new Map<string, number>()
  const endings = new Map<string, number>()
  const lines = new Map<string, number>()
  const statuses = new Map<number, number>()
  let fellBack = 0
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    const outcome = await runScenario(seed)
    if (outcome.violations.length > 0) assert.fail(failureText(seed, outcome))
    add(faults, outcome.faults)
    add(endings, outcome.endings)
    add(lines, outcome.lines)
    add(statuses, outcome.statuses)
    fellBack += outcome.fellBack
  }
  for (const line of table('faults injected', faults)) t.diagnostic(line)
  for (const line of table('lines of the table of endings', lines)) t.diagnostic(line)
  t.diagnostic(`whole answers of a fallback model: ${fellBack}`)
  t.diagnostic(`endings: ${listed(endings)}`)
  t.diagnostic(`statuses (0: the client had gone): ${listed(statuses)}`)
  if (SEEDS < SEEDS_FOR_ALL_FAULTS) return
  assert.notEqual(fellBack, 0, 'no fallback model ever served')
  const missing = [
    ...[...UPSTREAM_FAULTS, ...CLIENT_FAULTS, ...JOURNAL_FAULTS],
    ...[...PROCESS_FAULTS, ...REPEAT_FAULTS, ...CREDIT_FAULTS],
  ].filter(fault => !faults.has(fault))
  assert.deepEqual(missing, [], 'faults that no seed injected')
  assert.deepEqual(
    ENDINGS.filter(ending => !endings.has(ending)),
    [],
    'endings that no request had',
  )
  assert.deepEqual(
    ENDING_LINES.filter(line => !lines.has(line)),
    [],
    'lines of the table of endings that no request came to',
  )
})

test('the same seed tells the same story', async () => {
  const [first, second] = [await runScenario(FIRST), await runScenario(FIRST)]
  assert.deepEqual(first, second)
})

function failureText(seed: number, { violations }: Outcome): string {
  return `seed ${seed}: ${violations.slice(0, 5).join('; ')}\nagain: FIRST=${seed} SEEDS=1 npm test -- simulation/simulation`
}

function add<Key>(sums: Map<Key, number>, counts: ReadonlyMap<Key, number>): void {
  for (const [key, count] of counts) sums.set(key, (sums.get(key) ?? 0) + count)
}

function listed(counts: ReadonlyMap<string | number, number>): string {
  return [...counts].map(([name, count]) => `${name} ${count}`).join(', ')
}

function table(title: string, counts: ReadonlyMap<string, number>): string[] {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0)
  const rows = [...counts].sort(([one], [other]) => (one < other ? -1 : 1))
  return [`${title}: ${total}`, ...rows.map(([name, count]) => `  ${name.padEnd(32)}${String(count).padStart(9)}`)]
}
