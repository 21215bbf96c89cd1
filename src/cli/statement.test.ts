import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settlement } from '../control/testing.ts'
import { USAGE_ABSENT } from '../inference/usage.ts'
import { csvRecords } from '../statements/csv.ts'
import { BILLING } from '../statements/testing.ts'
import { checkGolden, createCli, NOW_MS } from './testing.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** An org with credit and six requests on three days of January, half of them through another upstream. */
async function createWorld(options: Parameters<typeof createCli>[0] = {}) {
  const cli = await createCli(options)
  const { client, fake } = cli.harness
  const org = await client.createOrg({ name: 'default' })
  await client.addCredit(org.id, { amount: '5.00', id: 'first', memo: '=1+1' })
  const key = await client.createKey({ org: org.id, name: '+laptop' })
  const targets = [
    { upstream: 'engine', upstream_model: 'small.gguf' },
    { upstream: 'other', upstream_model: 'vendor/small' },
  ]
  await client.putModel('acme/small', { context_tokens: 8192, targets })
  const price = await client.setPrice('acme/small', { input: '0.10', cached_input: '0.02', output: '0.40' })
  for (let at = 0; at < 6; at++) {
    fake.settle(
      settlement({
        requestId: `req_${at}`,
        orgId: org.id,
        keyId: key.id,
        priceId: price.id,
        upstreamId: at % 2 === 0 ? 'engine' : 'other',
        settledMs: NOW_MS - Math.floor(at / 2) * DAY_MS - HOUR_MS,
        ending: at === 5 ? 'cancelled' : 'completed',
        usage: {
          ...USAGE_ABSENT,
          inputTokens: 1200,
          inputSource: 'reported',
          cachedInputTokens: 1000,
          cachedInputSource: 'reported',
          outputTokens: 45,
          outputSource: 'counted',
        },
        chargeNanodollars: at === 5 ? 0n : 58_000n,
      }),
    )
  }
  return { ...cli, org, key, price, fake }
}

const PROVIDER_CSV = `day,model,requests,input_tokens,cached_input_tokens,output_tokens
2026-01-29,vendor/small,1,1200,1000,145
2026-01-30,vendor/small,1,1200,0,45
2026-01-31,vendor/small,1,1200,1000,45
`

/** One command line and everything that it prints. */
function check(name: string, line: string, code = 0, files: Record<string, string> = {}) {
  test(`headrace ${line}`, async () => {
    const cli = await createWorld()
    const outcome = await cli.run(line.replace('$KEY', cli.key.id), { files })
    const written = [...cli.written].map(([path, bytes]) => `--- ${path}\n${bytes}`).join('')
    checkGolden(
      name,
      `$ headrace ${line}\n${outcome.out}${outcome.err === '' ? '' : `--- stderr\n${outcome.err}`}${written}--- exit ${outcome.code}\n`,
    )
    assert.equal(outcome.code, code)
  })
}

check('statement', 'statement --month 2026-01')
check('statement-last-month', 'statement')
check('statement-csv', 'statement --month 2026-01 --format csv')
check('statement-html-file', 'statement --month 2025-12 --format html --out december.html')
check('statement-no-month', 'statement --month January', 2)
check('statement-pdf-nowhere', 'statement --format pdf', 2)
check('statement-invoice-csv', 'statement --invoice --format csv', 2)
check('statement-invoice-early', 'statement --month 2026-01 --invoice', 1)
check('statement-invoice-no-seller', 'statement --month 2025-12 --invoice', 1)
check('usage-export-csv', 'usage export --from 2026-01-30 --to 2026-02-01')
check('usage-export-jsonl', 'usage export --from 2026-01-31 --format jsonl')
check('usage-export-focus', 'usage export --from 2026-01-01 --to 2026-02-01 --format focus --out focus.csv')
check('usage-export-focus-key', 'usage export --from 2026-01-31 --key $KEY --format focus-1.2')
check('reconcile', 'reconcile provider.csv --upstream other --cost vendor/small=0.05/0.01/0.20', 1, {
  '/desk/provider.csv': PROVIDER_CSV,
})
check('reconcile-tolerant', 'reconcile provider.csv --upstream other --tolerance 100', 0, {
  '/desk/provider.csv': PROVIDER_CSV,
})
check('reconcile-json', 'reconcile provider.csv --upstream other --json', 1, { '/desk/provider.csv': PROVIDER_CSV })
check('reconcile-no-file', 'reconcile provider.csv --upstream other', 1)
check('reconcile-no-column', 'reconcile provider.csv --upstream other --provider openai', 1, {
  '/desk/provider.csv': 'a,b\n1,2\n',
})
check('reconcile-bad-map', 'reconcile provider.csv --upstream other --columns day=Day', 2)
check('reconcile-bad-cost', 'reconcile provider.csv --upstream other --cost v4=1', 2)
for (const name of ['statement', 'usage export', 'reconcile']) check(`help-${name.replace(' ', '-')}`, `${name} --help`)

test('a PDF is written to its file', async () => {
  const cli = await createWorld()
  const { code, err } = await cli.run('statement --month 2025-12 --format pdf --out december.pdf')
  assert.deepEqual([code, err], [0, 'Wrote december.pdf.\n'])
  assert.match(cli.written.get('/desk/december.pdf')?.toString('latin1') ?? '', /^%PDF-1\.[\s\S]*%%EOF/)
})

test('an invoice carries its number in every form', async () => {
  const cli = await createWorld({ billing: BILLING })
  const { code, out } = await cli.run('statement --month 2025-12 --invoice --format html')
  assert.equal(code, 0)
  assert.ok(out.includes(`INV-2025-12-${cli.org.id.slice('org_'.length)}`))
  assert.match((await cli.run('statement --month 2025-12 --invoice')).out, /^Invoice INV-2025-12-/)
})

test('more usage than a page holds is written whole, each request once', async () => {
  const cli = await createWorld()
  for (let at = 0; at < 2_500; at++)
    cli.fake.settle(
      settlement({ requestId: `req_many_${String(at).padStart(5, '0')}`, orgId: cli.org.id, keyId: cli.key.id }),
    )
  const { err } = await cli.run('usage export --out all.csv')
  assert.match(err, /^Wrote 2,506 rows to all\.csv/)
  const [head = [], ...rows] = csvRecords(cli.written.get('/desk/all.csv')?.toString() ?? '')
  assert.equal(new Set(rows.map(row => row[head.indexOf('request')])).size, 2_506)
  assert.ok(rows.every(row => row.length === head.length))
})

test('an export that fails leaves no file', async () => {
  const cli = await createWorld()
  cli.fake.usageList = () => Promise.reject(new Error('the disk is gone'))
  assert.equal((await cli.run('usage export --out all.csv')).code, 1)
  assert.equal(cli.written.size, 0)
})
