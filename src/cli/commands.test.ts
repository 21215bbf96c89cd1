import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settlement } from '../control/testing.ts'
import { USAGE_ABSENT } from '../inference/usage.ts'
import { FUNDING, orgAccount } from '../ledger/account.ts'
import { checkGolden, createCli, NOW_MS } from './testing.ts'

/** An org with credit, a key, a priced model, one without a price, and three settled requests. */
async function createWorld() {
  const cli = await createCli()
  const { client, fake, books } = cli.harness
  const org = await client.createOrg({ name: 'default' })
  await client.addCredit(org.id, { amount: '5.00' })
  const key = await client.createKey({ org: org.id, name: 'laptop', cap: '2.50' })
  const put = {
    context_tokens: 8192,
    license: 'Apache-2.0',
    owned_by: 'acme',
    aliases: ['small'],
    targets: [{ upstream: 'engine', upstream_model: 'small.gguf' }],
  }
  await client.putModel('acme/small', put)
  const price = await client.setPrice('acme/small', { input: '0.10', cached_input: '0.02', output: '0.40' })
  await client.putModel('acme/large', {
    ...put,
    aliases: [],
    targets: [{ upstream: 'broken', upstream_model: 'large' }],
  })
  const common = { orgId: org.id, keyId: key.id, priceId: price.id }
  fake.settlements.push(
    settlement({
      ...common,
      requestId: 'req_done',
      usage: {
        ...USAGE_ABSENT,
        inputTokens: 1200,
        inputSource: 'reported',
        cachedInputTokens: 1000,
        cachedInputSource: 'reported',
        outputTokens: 45,
        outputSource: 'reported',
      },
      chargeNanodollars: 58_000n,
    }),
    settlement({
      ...common,
      requestId: 'req_left',
      ending: 'cancelled',
      settledMs: NOW_MS - 500,
      usage: { ...USAGE_ABSENT, inputTokens: 10, inputSource: 'reported', outputTokens: 3, outputSource: 'counted' },
      chargeNanodollars: 2_200n,
    }),
    settlement({ ...common, requestId: 'req_empty', ending: 'empty', settledMs: NOW_MS - 100, ttftMs: null }),
  )
  fake.transfers.push({
    id: 'req_done:charge',
    debit: orgAccount(org.id),
    credit: 'operator:revenue',
    amountNanodollars: 58_000n,
    kind: 'charge',
    requestId: 'req_done',
    atMs: NOW_MS - 1_000,
    memo: null,
  })
  return { ...cli, org, key, books, fake }
}

/** One command line and everything that it prints. */
function check(name: string, line: string, code = 0) {
  test(`headrace ${line}`, async () => {
    const cli = await createWorld()
    const outcome = await cli.run(line.replace('$KEY', cli.key.id).replace('$ORG', cli.org.id))
    checkGolden(
      name,
      `$ headrace ${line}\n${outcome.out}${outcome.err === '' ? '' : `--- stderr\n${outcome.err}`}--- exit ${outcome.code}\n`,
    )
    assert.equal(outcome.code, code)
  })
}

check('keys-create', 'keys create ci --cap 1.50 --expires 30d')
check('keys-create-json', 'keys create ci --json')
check('keys-list', 'keys list')
check('keys-revoke-by-name', 'keys revoke laptop')
check('keys-revoke-unknown', 'keys revoke tablet', 1)
check('keys-create-for-nobody', 'keys create --org acme', 1)
check('keys-create-bad-time', 'keys create --expires tomorrow', 2)
check('credit-show', 'credit show')
check('credit-add', 'credit add 10.00 --memo "invoice 17"')
check('credit-add-negative', 'credit add -- -1', 2)
check('credit-grant', 'credit grant 2.00 --expires 30d --id welcome')
check('credit-grant-json', 'credit grant 2.00 --expires 2026-12-31 --id welcome --json')
check('credit-refund', 'credit refund 1.00 --memo "unhappy"')
check('credit-refund-too-much', 'credit refund 6.00', 1)
check('credit-refund-forced', 'credit refund 6.00 --force')
check('credit-chargeback', 'credit chargeback 7.50 --id dp_1')
check('credit-correct', 'credit correct -0.25 --memo "typo in invoice 17"')
check('credit-correct-silently', 'credit correct -0.25', 1)
check('credit-list', 'credit list')
check('credit-add-too-fine', 'credit add 0.0000000001', 2)
check('models', 'models')
check('models-show', 'models show acme/small')
check('models-show-unknown', 'models show acme/none', 1)
check('models-price', 'models price acme/large --input 1.30 --cached 0.10 --output 2.60 --from 7d')
check(
  'models-price-terms',
  'models price acme/large --input 1 --output 2 --window "fri-mon 22:00-02:00 0.5" --tier flex=1/2 --group vip',
)
check(
  'models-price-overlap',
  'models price acme/large --input 1 --output 2 --window "00:00-12:00 2" --window "11:00-13:00 2"',
  1,
)
check('models-price-window', 'models price acme/large --input 1 --output 2 --window monday', 2)
check('prices-list', 'prices')
check('prices-export', 'prices export')
check('prices-export-openrouter', 'prices export --format openrouter')
check('prices-group', 'prices group $ORG vip')
check('models-price-incomplete', 'models price acme/large --input 1.30', 2)
check('models-remove', 'models remove acme/large')
check('usage', 'usage')
check('usage-limited', 'usage --limit 1')
check('usage-json', 'usage --limit 1 --json')
check('usage-ndjson', 'usage --all --json')
check('usage-by-model', 'usage --group-by model')
check('usage-by-day', 'usage --group-by day --from 24h')
check('usage-story', 'usage req_done')
check('usage-story-free', 'usage req_empty')
check('usage-story-unknown', 'usage req_none', 1)
check('usage-unknown-json', 'usage req_none --json', 1)
check('ledger-show', 'ledger show req_done')
check('ledger-show-json', 'ledger show req_done --json')
check('ledger-show-unknown', 'ledger show req_none', 1)
check('prove-too-small', 'prove --requests 1000', 2)
check('prove-bad-share', 'prove --aborts 20', 2)
check('prove-no-cap', 'prove --cap 0', 2)
check('ledger-verify', 'ledger verify')
check('ledger-interrupted', 'ledger interrupted')
check('unknown-command', 'kesy', 2)
check('unknown-option', 'keys list --al', 2)
check('help', '--help')
check('no-words', '')
for (const name of [
  'serve',
  'chat',
  'usage',
  'pull',
  'models',
  'models price',
  'prices',
  'prices replay',
  'keys',
  'keys create',
  'credit',
  'credit add',
  'credit grant',
  'credit list',
  'ledger',
  'prove',
  'backup',
  'restore',
  'doctor',
  'config',
  'version',
]) {
  check(`help-${name.replaceAll(' ', '-')}`, `${name} --help`)
}

test('help of a command, both ways', async () => {
  const cli = await createCli()
  assert.equal((await cli.run('help keys')).out, (await cli.run('keys --help')).out)
})

test('no help line is wider than a terminal', async () => {
  const cli = await createCli()
  for (const name of [
    '',
    'serve',
    'chat',
    'usage',
    'pull',
    'models',
    'keys',
    'credit',
    'ledger',
    'prove',
    'backup',
    'restore',
    'doctor',
    'config',
  ]) {
    const { out } = await cli.run(`${name} --help`.trim())
    for (const line of out.split('\n')) assert.ok(line.length <= 108, line)
  }
})

test('a ledger that does not balance makes the exit code 1', async () => {
  const cli = await createWorld()
  cli.fake.problems = ['The balance of org:a is 1, and its transfers sum to 2.']
  const { code, out } = await cli.run('ledger verify')
  assert.equal(code, 1)
  assert.match(out, /^The books do not balance\. .*\n {2}The balance of org:a is 1/)
  assert.equal((await cli.run('ledger verify --json')).code, 1)
})

test('credit with an id is added once', async () => {
  const cli = await createWorld()
  await cli.run('credit add 1.00 --id a')
  assert.match(
    (await cli.run('credit add 1.00 --id a')).out,
    /^Credit with the id a had been added before; nothing changed\./,
  )
})

test('several orgs have to be told apart, by id or name', async () => {
  const cli = await createWorld()
  await cli.harness.client.createOrg({ name: 'acme' })
  const refused = await cli.run('credit add 1.00')
  assert.equal(refused.code, 2)
  assert.match(refused.err, /There are several orgs; say which\./)
  assert.equal((await cli.run('credit add 1.00 --org acme')).code, 0)
})

test('a home without an org says how to get one', async () => {
  const cli = await createCli()
  assert.match(
    (await cli.run('keys create')).err,
    /There is no org yet\.\n {2}The first start creates one: npx headrace serve/,
  )
})

test('on a terminal there is colour, unless it is not wanted', async () => {
  const cli = await createWorld()
  assert.ok((await cli.run('keys list', { columns: 120 })).out.includes('\u001b['))
  assert.ok(!(await cli.run('keys list --no-color', { columns: 120 })).out.includes('\u001b['))
  assert.ok(!(await cli.run('keys list', { columns: 120, env: { NO_COLOR: '1' } })).out.includes('\u001b['))
})

test('a wrong configuration is told with its place, before anything is done', async () => {
  const cli = await createWorld()
  const { code, err } = await cli.run('keys create --config c.yaml', {
    files: { '/desk/c.yaml': 'server:\n  prot: 1\n' },
  })
  assert.equal(code, 2)
  assert.equal(
    err,
    'headrace: /desk/c.yaml:2: server.prot is no setting; did you mean port?\n  Correct the configuration; "npx headrace config check" looks at it again.\n',
  )
  assert.equal(cli.fake.keys.size, 1)
})

test('warnings about the configuration go to standard error', async () => {
  const cli = await createWorld()
  const { code, out, err } = await cli.run('config check', { env: { HEADRACE_PROT: '1' } })
  assert.equal(code, 0)
  assert.equal(out, 'The configuration is right (no file was read).\n')
  assert.match(err, /^warning: HEADRACE_PROT in the environment is no setting/)
})

test('config show tells where values come from', async () => {
  const cli = await createCli()
  const { out } = await cli.run('config show --set server.port=1', {
    files: { '/home/ada/.headrace/config.yaml': 'log:\n  level: debug\n' },
  })
  assert.match(
    out,
    /^# File: \/home\/ada\/\.headrace\/config\.yaml\n# server\.port: --set server\.port\n# log\.level: \/home\/ada\/\.headrace\/config\.yaml:2\nhome: /,
  )
})

test('HEADRACE_DEBUG adds the stack', async () => {
  const cli = await createCli()
  assert.doesNotMatch((await cli.run('keys create')).err, /\n {4}at /)
  assert.match((await cli.run('keys create', { env: { HEADRACE_DEBUG: '1' } })).err, /\n {4}at /)
})

test('the funding account pays for credit', async () => {
  const cli = await createWorld()
  await cli.run('credit add 1.00 --id a')
  assert.equal(cli.fake.transfers.at(-1)?.debit, FUNDING)
})
