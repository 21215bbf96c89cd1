import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ensureFixture, type FixtureName, GENERATING_FIXTURES } from './fixtures.ts'
import type { FixtureCompletion, FixtureOutcome, FixtureRun } from './fixtures-child.ts'

let dir: string
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'headrace-fixtures-'))
})
after(() => rm(dir, { recursive: true }))

/** Runs completions in a process of their own. Rejects when it dies or takes more than a minute. */
async function run(name: FixtureName, completions: readonly FixtureCompletion[]): Promise<FixtureOutcome[]> {
  const path = await ensureFixture(name, dir)
  const child = fork(join(import.meta.dirname, 'fixtures-child.ts'), {
    silent: true,
    timeout: 60_000,
    killSignal: 'SIGKILL',
  })
  let log = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', chunk => (log = (log + chunk).slice(-2000)))
  child.send({ path, completions } satisfies FixtureRun)
  return new Promise((resolve, reject) => {
    child.once('message', message => resolve(message as FixtureOutcome[]))
    child.once('exit', (code, signal) =>
      reject(new Error(`the binding's process ended with ${code ?? signal}:\n${log}`)),
    )
  })
}

const WORDS = 'the river wheel stone mill light turns runs under bridge green morning quiet'.split(' ')

/** Text of `count` words that does not repeat soon; another `shift` makes another text. */
function text(count: number, shift = 0): string {
  return Array.from({ length: count }, (_, index) => WORDS[(index * 7 + shift + (index >> 3)) % WORDS.length]).join(' ')
}

test('each fixture loads, and babbles whole words for as long as it is asked to', async () => {
  for (const name of GENERATING_FIXTURES) {
    const options = { n_predict: 60, temperature: 0.8, seed: 1 }
    const [first, again, bytes] = (await run(name, [
      { prompt: text(20), options },
      { prompt: text(20), options },
      { prompt: 'Ünïcode: 水 🛶 \u0000\u0001 ~~ \t\r\n', options },
    ])) as [FixtureOutcome, FixtureOutcome, FixtureOutcome]
    for (const { outputTokens, text } of [first, bytes]) {
      assert.equal(outputTokens, 60, name)
      assert.doesNotMatch(text, /\ufffd/, name)
      assert.ok((text.match(/ \p{L}+/gu) ?? []).length > 30, `${name}: ${text}`)
    }
    assert.equal(again.text, first.text, `${name}: the same seed gives the same answer`)
  }
})

/**
 * Saves the state of a prompt of 200 words and begins another prompt from it. `cached` tells how many of the other prompt's
 * tokens must come from the state, given its own count and the saved prompt's.
 */
async function checkReuse(
  name: FixtureName,
  cases: readonly { prompt: string; cached: (tokens: number, saved: number) => number }[],
): Promise<void> {
  const statePath = join(dir, `${name}.state`)
  const options = { n_predict: 1, temperature: 1, top_k: 40, top_p: 1, min_p: 0, n_probs: 40, seed: 1 }
  const [saved, ...outcomes] = (await run(name, [
    { prompt: text(200), options: { ...options, save_prompt_state_path: statePath } },
    ...cases.flatMap(({ prompt }) => [
      { prompt, options },
      { prompt, options: { ...options, load_state_path: statePath } },
    ]),
  ])) as [FixtureOutcome, ...FixtureOutcome[]]
  assert.ok((await stat(statePath)).size > 0)
  cases.forEach(({ prompt, cached }, index) => {
    const [cold, warm] = outcomes.slice(2 * index) as [FixtureOutcome, FixtureOutcome]
    const label = `${name}, ${prompt.slice(0, 20)}... of ${cold.promptTokens} tokens`
    assert.equal(cold.cachedTokens, 0, label)
    assert.equal(warm.cachedTokens, cached(warm.promptTokens, saved.promptTokens), label)
    assert.equal(warm.cachedTokens + warm.evaluatedTokens, warm.promptTokens, label)
    // Sums are made in another order, so the distributions are close and not equal.
    assert.ok(
      distance(cold.firstToken, warm.firstToken) < 0.1,
      `${label}: a cached answer differs from an uncached one`,
    )
  })
}

/** Sum of the differences between two distributions: 0 when equal, 2 when they share nothing. */
function distance(one: FixtureOutcome['firstToken'], other: FixtureOutcome['firstToken']): number {
  assert.ok(one.length > 1 && other.length > 1)
  const left = new Map(one)
  const right = new Map(other)
  return [...new Set([...left.keys(), ...right.keys()])]
    .map(id => Math.abs((left.get(id) ?? 0) - (right.get(id) ?? 0)))
    .reduce((sum, difference) => sum + difference, 0)
}

/** As many tokens as words, and two more: the first word lacks the space of its token, so `the` is three tokens. */
const wordTokens = (words: number) => words + 2

test('llama reuses a saved prompt state up to the first token that differs', () =>
  checkReuse('llama', [
    { prompt: text(200), cached: tokens => tokens - 1 },
    { prompt: `${text(200)} water clear deep`, cached: (_, saved) => saved - 1 },
    { prompt: `${text(100)} water ${text(99)}`, cached: () => wordTokens(100) },
    { prompt: text(100), cached: tokens => tokens - 1 },
    { prompt: `water ${text(200)}`, cached: () => 0 },
  ]))

test('deepseek4 reuses a saved prompt state only as a whole', () =>
  checkReuse('deepseek4', [
    { prompt: text(200), cached: tokens => tokens - 1 },
    { prompt: `${text(200)} water clear deep`, cached: (_, saved) => saved - 1 },
    { prompt: `${text(100)} water ${text(99)}`, cached: () => 0 },
    { prompt: text(100), cached: () => 0 },
    { prompt: `water ${text(200)}`, cached: () => 0 },
  ]))

test('a state that cannot be loaded gives an empty answer and no error, so the caller has to look first', async () => {
  for (const name of GENERATING_FIXTURES) {
    const options = { n_predict: 4, top_k: 1 }
    const [lost, next] = (await run(name, [
      { prompt: text(20), options: { ...options, load_state_path: join(dir, 'nowhere.state') } },
      { prompt: text(20), options },
    ])) as [FixtureOutcome, FixtureOutcome]
    assert.deepEqual([lost.outputTokens, lost.text, lost.evaluatedTokens], [0, '', 0], name)
    assert.equal(next.outputTokens, 4, name)
  }
})
