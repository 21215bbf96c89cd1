import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Price } from '../inference/snapshot.ts'
import { USAGE_ABSENT } from '../inference/usage.ts'
import { allRows } from './client.ts'
import { chargeArithmetic } from './story.ts'
import { createHarness, NOW_MS, settlement } from './testing.ts'

/** DeepSeek V4 Pro at $1.30 / $0.10 cached / $2.60. */
const PRICE: Price = {
  id: 'price_1',
  modelId: 'acme/small',
  fromMs: 0,
  toMs: null,
  inputPicodollars: 1_300_000n,
  cachedInputPicodollars: 100_000n,
  outputPicodollars: 2_600_000n,
  requestPicodollars: 0n,
}
const USAGE = {
  ...USAGE_ABSENT,
  inputTokens: 1_000,
  inputSource: 'reported',
  cachedInputTokens: 600,
  cachedInputSource: 'reported',
  outputTokens: 50,
  outputSource: 'counted',
} as const
// 400 × 1.3e6 + 600 × 1e5 + 50 × 2.6e6 picodollars.
const CHARGE_NANODOLLARS = 710_000n

test("one request's story can be checked by hand", async () => {
  const { client, fake } = await createHarness()
  fake.prices.push(PRICE)
  fake.settle(settlement({ usage: USAGE, chargeNanodollars: CHARGE_NANODOLLARS }))
  const story = await client.getUsage('req_1')
  assert.equal(story.row.usage.output_source, 'counted')
  assert.equal(story.row.usage.reasoning_source, 'absent')
  assert.equal(story.price?.input, '1.30')
  assert.deepEqual(story.arithmetic, {
    lines: [
      { class: 'input', quantity: 400, price: '1.30', picodollars_each: '1300000', picodollars: '520000000' },
      { class: 'cached_input', quantity: 600, price: '0.10', picodollars_each: '100000', picodollars: '60000000' },
      { class: 'output', quantity: 50, price: '2.60', picodollars_each: '2600000', picodollars: '130000000' },
      { class: 'request', quantity: 1, price: '0.00', picodollars_each: '0', picodollars: '0' },
    ],
    factors: [],
    picodollars: '710000000',
    dollars: '0.00071',
    rounded: '0.00071',
    rounding_picodollars: '0',
    held: '0.001',
    charge: '0.00071',
    overrun: '0.00',
    explanation: 'The usage at its price, rounded once.',
  })
  assert.deepEqual(
    story.transfers.map(({ id, debit, credit, amount, kind }) => [id, debit, credit, amount, kind]),
    [['req_1:charge', 'org:org_1', 'operator:revenue', '0.00071', 'charge']],
  )
})

function check(name: string, parts: Parameters<typeof settlement>[0], price: Partial<Price>, explanation: RegExp) {
  test(`a charge explained: ${name}`, () => {
    assert.match(
      chargeArithmetic(settlement({ usage: USAGE, ...parts }), { ...PRICE, ...price }).explanation,
      explanation,
    )
  })
}

check('as priced', { chargeNanodollars: CHARGE_NANODOLLARS }, {}, /^The usage at its price/)
check(
  'more than held',
  { chargeNanodollars: 700_000n, heldNanodollars: 700_000n, overrunNanodollars: 10_000n },
  {},
  /overrun/,
)
check('an empty answer', { ending: 'empty' }, {}, /"empty" here owes nothing/)
check('left before the upstream began', { ending: 'cancelled' }, {}, /"cancelled" here owes nothing/)
check('an answer that was whole, for nothing', { ending: 'completed' }, {}, /does not follow/)
check('a wrong charge', { chargeNanodollars: 1n }, {}, /does not follow/)
check(
  'a request price',
  { chargeNanodollars: CHARGE_NANODOLLARS + 1n },
  { requestPicodollars: 1_000n },
  /^The usage at/,
)
check(
  'half a nanodollar, to even',
  { chargeNanodollars: CHARGE_NANODOLLARS },
  { requestPicodollars: 500n },
  /^The usage at/,
)

test('a story without its price row still tells the rest', async () => {
  const { client, fake } = await createHarness()
  fake.settle(settlement({ priceId: 'gone', chargeNanodollars: 5n }))
  const { price, arithmetic, row } = await client.getUsage('req_1')
  assert.deepEqual([price, arithmetic, row.charge], [null, null, '0.000000005'])
})

test('usage is listed newest first, filtered, in pages', async () => {
  const { client, fake } = await createHarness()
  for (let i = 0; i < 5; i++) {
    fake.settle(
      settlement({
        requestId: `req_${i}`,
        orgId: `org_${i % 2}`,
        settledMs: NOW_MS + i * 1_000,
        chargeNanodollars: 10n,
      }),
    )
  }
  const ids = async (query: Parameters<typeof client.listUsage>[0]) => {
    const rows = await Array.fromAsync(allRows(client.listUsage, { ...query, limit: 2 }))
    return rows.map(row => row.request)
  }
  assert.deepEqual(await ids({}), ['req_4', 'req_3', 'req_2', 'req_1', 'req_0'])
  assert.deepEqual(await ids({ org: 'org_1' }), ['req_3', 'req_1'])
  assert.deepEqual(await ids({ from: '2026-01-31T12:00:01Z', to: '2026-01-31T12:00:03Z' }), ['req_2', 'req_1'])
  assert.deepEqual(await ids({ model: 'none' }), [])
})

test('usage is summed by group', async () => {
  const { client, fake } = await createHarness()
  for (const [i, modelId] of ['a', 'a', 'b'].entries()) {
    fake.settle(settlement({ requestId: `req_${i}`, modelId, usage: USAGE, chargeNanodollars: 1_000_000n }))
  }
  const sums = (await client.summarizeUsage({ group_by: 'model' })).data
  assert.deepEqual(sums, [
    { group: 'a', requests: 2, input_tokens: 2_000, cached_input_tokens: 1_200, output_tokens: 100, charge: '0.002' },
    { group: 'b', requests: 1, input_tokens: 1_000, cached_input_tokens: 600, output_tokens: 50, charge: '0.001' },
  ])
  assert.equal((await client.summarizeUsage()).group_by, 'model')
  assert.equal((await client.summarizeUsage({ group_by: 'day' })).data[0]?.group, '2026-01-31T00:00:00.000Z')
})

test('what cannot be told is refused with the cure', async () => {
  const { refused } = await createHarness()
  await refused('GET /usage/req_gone', undefined, 404, 'request_not_found', /No settled request has the id "req_gone"/)
  await refused('GET /usage?from=yesterday', undefined, 400, 'invalid_value', /from: has to be a time/, 'from')
  const backwards = 'from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z'
  for (const path of ['/usage', '/usage/summary']) {
    await refused(`GET ${path}?${backwards}`, undefined, 400, 'invalid_value', /to: has to be after from/, 'to')
  }
  await refused('GET /usage/summary?group_by=moon', undefined, 400, 'invalid_value', /group_by: .*"org"/, 'group_by')
})

test('interrupted requests are listed', async () => {
  const { client, fake, refused } = await createHarness()
  const admission = { orgId: 'org_1', keyId: 'key_1', modelId: 'm', heldNanodollars: 5_000_000n, admittedMs: NOW_MS }
  fake.admissions.push({ ...admission, requestId: 'req_b' }, { ...admission, requestId: 'req_a' })
  await refused(
    'GET /usage/req_a',
    undefined,
    404,
    'request_not_found',
    /A crash interrupted it, and nothing was charged/,
  )
  const { data } = await client.listInterrupted()
  assert.deepEqual(
    data.map(each => [each.request, each.held]),
    [
      ['req_a', '0.005'],
      ['req_b', '0.005'],
    ],
  )
})

test('the ledger tells what it found, good or bad', async () => {
  const { client, fake } = await createHarness()
  fake.settle(settlement({ chargeNanodollars: 1n }))
  assert.deepEqual(await client.verifyLedger(), { ok: true, transfers: 1, settlements: 1, problems: [] })
  fake.problems.push('org:org_1 is 1 nanodollar short')
  assert.deepEqual((await client.verifyLedger()).problems, ['org:org_1 is 1 nanodollar short'])
})
