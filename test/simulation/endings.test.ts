import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { ENDING_LINES, type EndingLine } from '../../src/simulation/ending-lines.ts'
import { type Asks, CREDIT_NANODOLLARS, type Happening, Stage, type Told } from './stage.ts'

/**
 * The table of docs/concepts/endings.md, a test for each line, named by its anchor. The server is whole but for its sockets; what its
 * upstream does is written down a step at a time. The simulation injects the same lines at random (`simulation.test.ts`).
 *
 * Input is 10 tokens, 4 of them cached; in nanodollars a token costs 1,000 as input, 500 as cached input, 2,000 as output.
 */
const INPUT = 6 * 1000 + 4 * 500
const INPUT_UNCACHED = 10 * 1000
const TOKEN = 2000

interface Case {
  /** Chat, streamed, without a bound, unless this says otherwise. */
  readonly asks?: Asks
  /** What happens, attempt after attempt. */
  readonly happens: readonly (readonly Happening[])[]
  readonly creditNanodollars?: bigint
  /** How it is settled; null: not at all. */
  readonly ending: string | null
  readonly charge: number
  /** Sources of input, cached input and output. */
  readonly sources?: string
  readonly told?: Partial<Told>
}

/** Plays a case and compares its settlement, the books, and what the client was told. */
async function check({ asks, happens, creditNanodollars, ending, charge, sources, told }: Case): Promise<Stage> {
  const stage = new Stage(happens, creditNanodollars)
  const answer = await stage.ask(asks)
  const [settlement, ...others] = stage.settlements
  assert.deepEqual(others, [], 'one request, one settlement')
  const what = JSON.stringify(happens)
  assert.equal(settlement?.ending ?? null, ending, what)
  assert.equal(settlement?.chargeNanodollars ?? 0n, BigInt(charge), `${what}: the charge`)
  const { usage } = settlement ?? {}
  if (sources !== undefined)
    assert.equal(`${usage?.inputSource} ${usage?.cachedInputSource} ${usage?.outputSource}`, sources, what)
  if (told !== undefined) assert.deepEqual({ ...answer, ...told }, answer, what)
  stage.balanced(BigInt(charge))
  return stage
}

const WHOLE = { status: 200, finished: true, error: null }

const TESTS: Record<EndingLine, () => Promise<unknown>> = {
  async completed() {
    const happens = [['began', 'token', 'token', 'finish', 'usage', 'end']] as const
    const charge = INPUT + 2 * TOKEN
    const sources = 'reported reported reported'
    await check({ happens, ending: 'completed', charge, sources, told: { ...WHOLE, tokens: 2, charge } })
    await check({ asks: { stream: false }, happens, ending: 'completed', charge, sources, told: { ...WHOLE, charge } })
    // Left after the last choice had finished: the answer was whole.
    await check({
      happens: [['began', 'token', 'finish', 'client leaves', 'usage', 'end']],
      ending: 'completed',
      charge: INPUT + TOKEN,
    })
  },

  async 'no-output-asked'() {
    await check({
      asks: { protocol: 'openai-completions', echo: true, max_tokens: 0, stream: false },
      happens: [['began', 'finish', 'usage', 'end']],
      ending: 'completed',
      charge: INPUT,
      told: WHOLE,
    })
  },

  async 'left-before-dispatch'() {
    const stage = await check({ asks: { gone: true }, happens: [['began']], ending: 'cancelled', charge: 0 })
    assert.equal(stage.attempts, 0, 'nothing was dispatched')
  },

  async 'left-before-first-token'() {
    const sources = 'reported absent counted'
    for (const [happening, ending, told] of [
      ['client leaves', 'cancelled', {}],
      ['drain', 'aborted', { status: 503, error: 'draining' }],
      ['silence', 'timed_out', { status: 504, error: 'upstream_timeout' }],
    ] as const) {
      await check({ happens: [['began', happening]], ending, charge: INPUT_UNCACHED, sources, told })
      // Nobody knows that the upstream works on it.
      await check({ happens: [[happening]], ending, charge: 0, told })
    }
  },

  async 'left-mid-output'() {
    for (const [happening, ending, told] of [
      ['client leaves', 'cancelled', {}],
      ['drain', 'aborted', { status: 200, finished: false, error: 'draining' }],
      ['silence', 'timed_out', { status: 200, finished: false, error: 'upstream_timeout' }],
    ] as const) {
      await check({
        happens: [['began', 'token', 'token', happening]],
        ending,
        charge: INPUT_UNCACHED + 2 * TOKEN,
        sources: 'reported absent counted',
        told,
      })
      await check({
        happens: [['began', 'token', 'token', 'usage', happening]],
        ending,
        charge: INPUT + 2 * TOKEN,
        sources: 'reported reported reported',
        told,
      })
    }
  },

  async 'failed-before-first-token'() {
    const told = { status: 502, error: 'upstream_error' }
    for (const asks of [{}, { stream: false }])
      await check({ asks, happens: [['began', 'fail'], ['fail']], ending: 'failed', charge: 0, told })
    await check({
      asks: { stream: false },
      happens: [
        ['began', 'token', 'fail'],
        ['began', 'token', 'fail'],
      ],
      ending: 'failed',
      charge: 0,
      told,
    })
    const stage = await check({
      happens: [
        ['began', 'fail'],
        ['began', 'token', 'finish', 'usage', 'end'],
      ],
      ending: 'completed',
      charge: INPUT + TOKEN,
      told: { ...WHOLE, tokens: 1 },
    })
    assert.equal(stage.attempts, 2, 'the next target was tried')
  },

  async 'failed-mid-stream'() {
    const stage = await check({
      happens: [
        ['began', 'token', 'token', 'fail'],
        ['began', 'token', 'finish', 'usage', 'end'],
      ],
      ending: 'failed',
      charge: INPUT_UNCACHED + 2 * TOKEN,
      told: { status: 200, tokens: 2, finished: false, error: 'upstream_error' },
    })
    assert.equal(stage.attempts, 1, 'what the client saw cannot be unsaid')
  },

  async exhausted() {
    const tokens = 200
    await check({
      happens: [['began', ...Array<Happening>(tokens + 20).fill('token')]],
      creditNanodollars: BigInt(INPUT_UNCACHED + tokens * TOKEN + TOKEN - 1),
      ending: 'exhausted',
      charge: INPUT_UNCACHED + tokens * TOKEN,
      told: { ...WHOLE, tokens, notice: 'The answer was cut short: no more credit could be held for it.' },
    })
  },

  async 'no-usage'() {
    const stage = await check({
      happens: [['began uncounted', 'token', 'token', 'finish', 'end']],
      ending: 'completed',
      // Five letters are two tokens at the least.
      charge: 2 * 1000 + 2 * TOKEN,
      sources: 'counted absent counted',
      told: { ...WHOLE, tokens: 2 },
    })
    assert.ok((stage.settlements[0]?.heldNanodollars ?? 0n) >= 6000n, 'never more than the hold')
  },

  async empty() {
    for (const asks of [{}, { stream: false }])
      await check({ asks, happens: [['began', 'finish', 'usage', 'end']], ending: 'empty', charge: 0, told: WHOLE })
    // Its own stop may be why there is nothing.
    await check({
      asks: { stop: ['Hi'] },
      happens: [['began', 'finish', 'usage', 'end']],
      ending: 'completed',
      charge: INPUT,
      told: WHOLE,
    })
  },

  async repeated() {
    const happens = [['began', 'token', 'finish', 'usage', 'end']] as const
    for (const stream of [true, false]) {
      const stage = new Stage(happens)
      const first = await stage.ask({ stream, key: 'once' })
      const again = await stage.ask({ stream, key: 'once' })
      assert.deepEqual({ ...first, replayed: true }, again)
      assert.equal(first.replayed, false)
      assert.equal(stage.attempts, 1)
      stage.balanced(BigInt(INPUT + TOKEN))
      const other = await stage.ask({ stream, key: 'once', stop: ['another body'] })
      assert.deepEqual([other.status, other.error], [422, 'idempotency_key_reused'])
    }
    // What was not whole is not stored: the repetition is a request of its own.
    const stage = new Stage([['began', 'token', 'client leaves'], ...happens])
    await stage.ask({ key: 'once' })
    const again = await stage.ask({ key: 'once' })
    assert.deepEqual([again.finished, again.replayed], [true, false])
    stage.balanced(BigInt(INPUT_UNCACHED + TOKEN + INPUT + TOKEN))
    // One whose line broke after the last token gets the whole answer.
    const cut = new Stage([['began', 'token', 'finish', 'client leaves', 'usage', 'end']])
    await cut.ask({ key: 'once' })
    const rest = await cut.ask({ key: 'once' })
    assert.deepEqual([rest.tokens, rest.finished, rest.replayed], [1, true, true])
    cut.balanced(BigInt(INPUT + TOKEN))
  },

  async refused() {
    for (const [asks, creditNanodollars, status, error] of [
      [{ secret: 'sk-hr-wrong' }, CREDIT_NANODOLLARS, 401, 'invalid_api_key'],
      [{}, 10n, 402, 'insufficient_balance'],
      [{ model: 'none' }, CREDIT_NANODOLLARS, 404, 'model_not_found'],
    ] as const) {
      const told = { status, error }
      const stage = await check({ asks, happens: [], creditNanodollars, ending: null, charge: 0, told })
      assert.equal(stage.attempts, 0)
    }
  },

  async 'not-durable'() {
    const happens = [
      ['disk is full', 'began', 'token', 'finish', 'usage', 'end'],
      ['began', 'token', 'finish', 'usage', 'end'],
    ] as const
    for (const [stream, status] of [
      [true, 200],
      [false, 503],
    ] as const) {
      const error = 'settlement_unavailable'
      const told = { status, error, finished: false }
      const stage = await check({ asks: { stream, key: 'once' }, happens, ending: null, charge: 0, told })
      const next = await stage.ask({ stream })
      assert.deepEqual([next.status, next.error], [503, error], 'admission answers 503')
      assert.equal(stage.attempts, 1)
      await stage.diskIsFree()
      const good = await stage.ask({ stream, key: 'once' })
      assert.deepEqual([good.finished, good.replayed], [true, false])
      stage.balanced(BigInt(INPUT + TOKEN))
    }
  },

  async crash() {
    for (const happens of [
      ['began', 'token', 'crash'],
      ['began', 'token', 'finish', 'crash', 'usage', 'end'],
    ] as const) {
      const stage = new Stage([happens, ['began', 'token', 'finish', 'usage', 'end']])
      const seen = await stage.ask({ key: 'once' })
      assert.equal(seen.finished, false)
      stage.restart()
      stage.balanced(0n)
      const again = await stage.ask({ key: 'once' })
      assert.deepEqual([again.finished, again.replayed], [true, false], 'the key is free again')
      stage.balanced(BigInt(INPUT + TOKEN))
    }
  },
}

for (const line of ENDING_LINES) test(`ending: ${line}`, async () => void (await TESTS[line]()))

test('each line of the table of endings has its anchor, its test and its fault', () => {
  const page = readFileSync(resolve(import.meta.dirname, '../../docs/concepts/endings.md'), 'utf8')
  const rows = page.split('\n').filter(line => line.startsWith('| ') && !/^\| (---|Ending )/.test(line))
  assert.deepEqual(
    rows.map(row => /^\| <a id="ending-([a-z-]+)"><\/a>/.exec(row)?.[1] ?? row),
    ENDING_LINES,
  )
})

test('vectors and scores are charged their input, in one piece or not at all', async () => {
  const embeds: Asks = { protocol: 'openai-embeddings' }
  const ranks: Asks = { protocol: 'rerank' }
  /** A search unit. */
  const UNIT = 7000
  const cases: readonly Case[] = [
    { asks: embeds, happens: [['began', 'vector', 'usage', 'finish', 'end']], ending: 'completed', charge: INPUT },
    { asks: ranks, happens: [['began', 'score', 'usage', 'finish', 'end']], ending: 'completed', charge: INPUT + UNIT },
    // The second target makes good what the first one broke, and is charged alone.
    {
      asks: ranks,
      happens: [
        ['began', 'score', 'fail'],
        ['began', 'score', 'usage', 'finish', 'end'],
      ],
      ending: 'completed',
      charge: INPUT + UNIT,
    },
    { asks: embeds, happens: [['began', 'vector', 'fail'], ['fail']], ending: 'failed', charge: 0 },
    { asks: embeds, happens: [['client leaves', 'silence']], ending: 'cancelled', charge: 0 },
    { asks: ranks, happens: [['client leaves', 'silence']], ending: 'cancelled', charge: 0 },
    { asks: embeds, happens: [['began', 'client leaves']], ending: 'cancelled', charge: INPUT_UNCACHED },
    { asks: ranks, happens: [['began', 'client leaves']], ending: 'cancelled', charge: INPUT_UNCACHED + UNIT },
    { asks: embeds, happens: [['silence']], ending: 'timed_out', charge: 0 },
    { asks: embeds, happens: [['began', 'drain']], ending: 'aborted', charge: INPUT_UNCACHED },
    // Whole before the client left.
    {
      asks: embeds,
      happens: [['began', 'vector', 'finish', 'client leaves', 'usage', 'end']],
      ending: 'completed',
      charge: INPUT,
    },
    { asks: embeds, happens: [['disk is full', 'began', 'vector', 'usage', 'finish', 'end']], ending: null, charge: 0 },
    { asks: embeds, happens: [[]], creditNanodollars: 10_000n, ending: null, charge: 0 },
  ]
  for (const one of cases) await check(one)
})

test('a request that cannot be written down, or is while a drain begins, does not run, and nothing stays held', async () => {
  const happens = [['began', 'token', 'finish', 'usage', 'end']] as const
  for (const [detaching, error] of [
    ['drain', 'draining'],
    ['fail', 'settlement_unavailable'],
  ] as const) {
    const stage = await check({ asks: { detaching }, happens, ending: null, charge: 0, told: { status: 503, error } })
    assert.equal(stage.attempts, 0, 'nothing was dispatched')
  }
})
