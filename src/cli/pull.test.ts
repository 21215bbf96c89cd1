import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Command } from 'commander'
import type { CatalogueEntry } from '../models/catalogue.ts'
import { ModelError } from '../models/model-error.ts'
import type { PulledModel, PullOptions } from '../models/pull.ts'
import { CliError } from './cli-error.ts'
import { type PullModel, register } from './pull.ts'
import { createCli } from './testing.ts'

const ENTRY: CatalogueEntry = {
  id: 'acme/small',
  name: 'Small',
  aliases: ['small'],
  ownedBy: 'acme',
  released: null,
  architecture: 'llama',
  parameters: 1_500_000,
  contextTokens: 2048,
  outputTokensMax: 1024,
  license: { name: 'Acme licence', url: 'https://acme.example/licence' },
  capabilities: { chat: true, completion: true, tools: false, reasoning: false, jsonSchema: true, logprobs: true },
  sampling: {},
  price: { input: '0.10', cachedInput: '0.02', output: '0.40' },
  file: { name: 'small.gguf', bytes: 3_000_000, sha256: 'ab'.repeat(32), sources: [] },
}

function pulled(price: CatalogueEntry['price'] = ENTRY.price): PulledModel {
  return {
    entry: { ...ENTRY, price },
    file: {
      name: 'small.gguf',
      path: '/h/models/small.gguf',
      bytes: 3_000_000,
      sha256: 'ab'.repeat(32),
      modelId: 'acme/small',
      source: 'hf:acme/small/small.gguf',
      recordedMs: 0,
    },
    description: { architecture: 'llama', parameters: 1_500_000, quantisation: 'Q4_K_M' } as PulledModel['description'],
    source: 'hf:acme/small/small.gguf',
    alreadyThere: false,
    bytesDownloaded: 3_000_000,
    downloadMs: 1_500,
    failures: [],
  }
}

async function pull(pullModel: PullModel, ...argv: string[]) {
  const cli = await createCli()
  const text = { out: '', err: '' }
  const io = cli.io(
    {},
    written => {
      text.out += written
    },
    written => {
      text.err += written
    },
  )
  const program = new Command()
    .exitOverride()
    .configureOutput({ writeErr: () => {}, outputError: () => {} })
    .option('--json')
  register(program, io, pullModel)
  const done = program.parseAsync(['pull', ...argv], { from: 'user' })
  return { cli, done, text }
}

test('pull puts a model of the catalogue on the list, with its price', async () => {
  let asked: { spec: string; options: PullOptions } | null = null
  const { cli, done, text } = await pull(async (spec, options) => {
    asked = { spec, options }
    options.onProgress?.({
      phase: 'downloading',
      source: 'hf:acme/small/small.gguf',
      bytesDone: 3_000_000,
      bytesTotal: 3_000_000,
    })
    return pulled()
  }, 'acme/small')
  await done
  const { spec, options } = asked as unknown as { spec: string; options: PullOptions }
  assert.equal(spec, 'acme/small')
  assert.equal(options.home, '/home/ada/.headrace')
  const model = await cli.harness.client.getModel('acme/small')
  assert.deepEqual(model.targets, [{ upstream: 'engine', upstream_model: 'acme/small' }])
  assert.deepEqual(
    [model.license, model.output_tokens_max, model.capabilities.json_schema, model.price?.cached_input],
    ['Acme licence', 1024, true, '0.02'],
  )
  assert.equal(text.err, 'downloading hf:acme/small/small.gguf: 100% of 2.9 MiB\n')
  assert.equal(
    text.out,
    [
      'Model    acme/small',
      'File     /h/models/small.gguf, 2.9 MiB',
      `SHA-256  ${'ab'.repeat(32)}`,
      'Fetched  2.9 MiB from hf:acme/small/small.gguf in 1.5 s',
      'Is       llama, 1,500,000 parameters, Q4_K_M, context 2,048 tokens',
      'Licence  Acme licence',
      'Price    $0.10 input, $0.02 cached, $0.40 output per million tokens',
      '',
    ].join('\n'),
  )
})

test('pull with a price sets that one', async () => {
  const { cli, done } = await pull(
    async () => pulled(null),
    './small.gguf',
    '--as',
    'acme/small',
    '--input',
    '1',
    '--cached',
    '0.5',
    '--output',
    '2',
  )
  await done
  assert.equal((await cli.harness.client.getModel('acme/small')).price?.input, '1.00')
})

test('pull without a price says that nobody can use the model yet', async () => {
  const { done, text } = await pull(async () => pulled(null), './small.gguf')
  await done
  assert.match(text.out, /Price {4}none yet, so nobody can use it: npx headrace models price acme\/small --input/)
})

test('pull again keeps the price that the operator set', async () => {
  const { cli, done } = await pull(async () => pulled(), 'acme/small')
  await done
  await cli.harness.client.setPrice('acme/small', { input: '9', cached_input: '9', output: '9' })
  const io = cli.io(
    {},
    () => {},
    () => {},
  )
  const program = new Command().exitOverride()
  register(program, io, async () => pulled())
  await program.parseAsync(['pull', 'acme/small'], { from: 'user' })
  const prices = await cli.harness.client.listPrices('acme/small')
  assert.deepEqual(
    prices.data.map(price => price.input),
    ['0.10', '9.00'],
  )
})

test('pull with a part of a price is refused before anything is fetched', async () => {
  const { done } = await pull(async () => assert.fail('nothing should be fetched'), 'acme/small', '--input', '1')
  await assert.rejects(done, (error: CliError) => error.exitCode === 2 && /three parts/.test(error.message))
})

test('pull: Ctrl-C keeps what was fetched and exits with 130', async () => {
  const { cli, done } = await pull(
    (_, { signal }) =>
      new Promise((_, reject) =>
        signal?.addEventListener('abort', () => reject(new ModelError('cancelled', 'stopped'))),
      ),
    'acme/small',
  )
  while (cli.listening === 0) await new Promise(resolve => setImmediate(resolve))
  cli.interrupt()
  await assert.rejects(done, (error: unknown) => error instanceof CliError && error.exitCode === 130)
  assert.equal(cli.listening, 0)
})
