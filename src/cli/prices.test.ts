import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { settlement } from '../control/testing.ts'
import { USAGE_ABSENT } from '../inference/usage.ts'
import { documentOfTariff, tariffOfDocument } from '../pricing/document.ts'
import { anyCounts, anyInstant, anyTariff, anyTier } from '../pricing/testing.ts'
import { chargeOf } from '../pricing/worth.ts'
import { type PriceOut, type PriceRow, readPriceList, writePriceList } from './price-file.ts'
import { createCli } from './testing.ts'

async function world() {
  const cli = await createCli()
  for (const id of ['deepseek-v4-pro', 'deepseek-flash'])
    await cli.harness.client.putModel(id, {
      context_tokens: 1_000,
      targets: [{ upstream: 'engine', upstream_model: id }],
    })
  return cli
}

/** DeepSeek's list of October 2026: twice as much at peak. */
const LIST = `
prices:
  - model: deepseek-v4-pro
    input: 0.66
    cached_input: 0.022
    output: 1.98
    windows:
      - {days: [mon, tue, wed, thu, fri], start: 01:00, end: 04:00, multiplier: 2}
      - {days: [mon, tue, wed, thu, fri], start: 06:00, end: 10:00, multiplier: 2}
  - model: deepseek-flash
    input: 0.15
    cached_input: 0.003
    output: 0.60
    tiers: {flex: 3/4}
    steps: [{from_input_tokens: 200001, multiplier: 1.5}]
`

test('a list in YAML is imported to the digit, shown, exported, and imported again without a change', async () => {
  const cli = await world()
  const dry = await cli.run('prices import list.yaml --dry-run', { files: { 'list.yaml': LIST } })
  assert.match(dry.out, /^deepseek-flash from .*\n {2}\+ input 0\.15, cached_input 0\.003, output 0\.60.*\n.*\n/)
  assert.match(dry.out, /Would set 2 of 2 prices; 0 are as before\.\n$/)
  assert.equal((await cli.run('prices')).out, 'There are no prices.\n')
  const done = await cli.run('prices import list.yaml', { files: { 'list.yaml': LIST } })
  assert.equal(done.code, 0, done.err)
  const shown = (await cli.run('prices')).out
  assert.match(shown, /\$0\.022 /)
  assert.match(shown, /mon tue wed thu fri 06:00-10:00 UTC: times 2\n/)
  assert.match(shown, /from 200001 input tokens on: times 1\.5\n/)
  for (const format of ['yaml', 'json', 'openrouter']) {
    const { out } = await cli.run(`prices export --format ${format}`)
    const again = await cli.run('prices import back --json', { files: { back: out } })
    const changes = JSON.parse(again.out).data.map((each: { change: string }) => each.change)
    // Multipliers are multiplied out per token, so that list says the same in other words.
    const expected = format === 'openrouter' ? 'changed' : 'unchanged'
    assert.deepEqual(changes, [expected, expected], format)
  }
})

test('every export that can be written is read again as a list of the same worth', () => {
  fc.assert(
    fc.property(
      fc.array(anyTariff, { minLength: 1, maxLength: 3 }),
      fc.constantFrom('yaml', 'json', 'openrouter'),
      anyCounts,
      anyInstant,
      anyTier,
      (documents, format, counts, atMs, tier) => {
        const tariffs = documents.map(tariffOfDocument)
        const rows = tariffs.map((tariff, index) => ({
          id: `p${index}`,
          model: `m${index}`,
          from: '2026-01-01T00:00:00.000Z',
          to: null,
          ...documentOfTariff(tariff),
        })) as unknown as PriceOut[]
        let text: string
        try {
          text = writePriceList(rows, format, value => stringify(value, { lineWidth: 0 }))
        } catch (error) {
          assert.equal(format, 'openrouter')
          assert.match(String(error), /cannot be written per token exactly/)
          return
        }
        const read = readPriceList(text, 'file') as (PriceRow & { input: string; output: string })[]
        for (const [index, row] of read.entries()) {
          assert.equal(row.model, `m${index}`)
          const [before, after] = [tariffs[index], tariffOfDocument(row)]
          assert.ok(before !== undefined)
          assert.equal(chargeOf(after, counts, atMs, tier), chargeOf(before, counts, atMs, tier))
          if (format !== 'openrouter') assert.deepEqual(documentOfTariff(after), documentOfTariff(before))
        }
      },
    ),
    { numRuns: 100 },
  )
})

test('a list of models as aggregators have it is imported, overrides and all', async () => {
  const cli = await world()
  const pricing = {
    prompt: '0.00000066',
    completion: '0.00000198',
    input_cache_read: '0.000000022',
    image: '0',
    overrides: [
      { utc_start: 100, utc_end: 400, utc_days: ['monday'], prompt: '0.00000132' },
      { min_prompt_tokens: 200_000, completion: '0.000004' },
    ],
  }
  const files = { 'models.json': JSON.stringify({ data: [{ id: 'deepseek-v4-pro', name: 'V4', pricing }] }) }
  const { out, code, err } = await cli.run('prices import models.json --json', { files })
  assert.equal(code, 0, err)
  const { input, windows, steps } = JSON.parse(out).data[0].after
  assert.equal(input, '0.66')
  assert.deepEqual(
    steps.map((step: { from_input_tokens: number; output: string }) => [step.from_input_tokens, step.output]),
    [[200_001, '4.00']],
  )
  assert.deepEqual(
    windows.map((each: { start: string; input: string; output: string; steps: { output: string }[] }) => [
      each.start,
      each.input,
      each.output,
      each.steps[0]?.output,
    ]),
    [['01:00', '1.32', '1.98', '4.00']],
  )
})

function check(name: string, text: string, message: RegExp) {
  test(`a list that is refused: ${name}`, async () => {
    const cli = await world()
    const { code, err } = await cli.run('prices import list', { files: { list: text } })
    assert.notEqual(code, 0)
    assert.match(err, message)
    assert.equal((await cli.run('prices')).out, 'There are no prices.\n')
  })
}

const audio = { id: 'deepseek-flash', pricing: { prompt: '0', completion: '0', audio: '0.1' } }
check('what we do not charge', JSON.stringify({ data: [audio] }), /row 1: pricing has audio, which is not charged here/)
check('no list', 'a: 1', /holds no price list/)
check('no YAML', '{', /neither YAML nor JSON/)
check('half a row', 'prices: [{model: deepseek-flash, input: 1}]', /prices\.0\.output: is missing/)
check('a typo', 'prices: [{model: deepseek-flash, input: 1, outptu: 1}]', /prices\.0\.outptu: there is no such field/)
check('too fine', 'prices: [{model: deepseek-flash, input: 0.00000001, output: 1}]', /prices\.0\.input: .*finer/)

test('the price of one model is read from a file, with what the flags say beside it', async () => {
  const cli = await world()
  const files = { price: 'group: vip\ninput: 1.30\noutput: 2.60\ntiers: {flex: 0.5}\n', list: '- 1' }
  const set = async (line: string) => JSON.parse((await cli.run(`${line} --json`, { files })).out)
  const first = await set('models price deepseek-flash --file price')
  assert.deepEqual([first.group, first.input, first.tiers], ['vip', '1.30', { flex: '0.5' }])
  assert.equal((await set('models price deepseek-flash --file price --group others')).group, 'others')
  const both = await cli.run('models price deepseek-flash --file price --input 1', { files })
  assert.match(both.err, /--file holds the whole price/)
  assert.match((await cli.run('models price deepseek-flash --file list', { files })).err, /list holds no price/)
})

test('a replay says what past usage would have cost', async () => {
  const cli = await world()
  await cli.run('models price deepseek-flash --input 1 --output 1')
  const usage = { ...USAGE_ABSENT, inputTokens: 1_000 }
  cli.harness.fake.settlements.push(
    settlement({ requestId: 'a', modelId: 'deepseek-flash', usage, chargeNanodollars: 1_000_000n }),
    settlement({ requestId: 'b', modelId: 'deepseek-v4-pro', usage, chargeNanodollars: 5n }),
  )
  const files = { new: 'prices: [{model: deepseek-flash, input: 0.5, output: 1}]' }
  const { out, code, err } = await cli.run('prices replay --from 1d --list new', { files })
  assert.equal(code, 0, err)
  assert.match(out, /deepseek-flash +1 +\$0\.001 +\$0\.00 +\$0\.0005 +-?\$?-?0\.0005/)
  assert.match(out, /Not priced: 1 request, since the list has no price for deepseek-v4-pro \(b\)\./)
})
