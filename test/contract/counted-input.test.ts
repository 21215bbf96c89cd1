import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { formatDollars } from '../../src/ledger/money.ts'
import { ledgerRow } from '../support/money.ts'
import { newHome, startServer } from '../support/server.ts'
import { chat } from '../support/stream.ts'
import { startUpstream, UPSTREAM_INPUT_TOKENS, upstreamConfig } from '../support/upstream.ts'

/* A model with a tokenizer file behind an upstream that reports nothing, and one without a file beside it. */

const TOKENIZER = join(import.meta.dirname, '../support/tokenizer')
const { counts }: { counts: [text: string, tokens: number][] } = JSON.parse(
  readFileSync(join(TOKENIZER, 'counts.json'), 'utf8'),
)
/** The longest of the texts whose tokens the reference implementation counted. */
const [TEXT, TOKENS] = counts.reduce((longest, each) => (each[0].length > longest[0].length ? each : longest))
/** A cent a token of input, so that the difference between bytes and tokens decides what a key can pay. */
const PRICE = { input: '10000', cached: '10000', output: '0.01' }
const TOKEN_NANODOLLARS = 10_000_000n
/** What the frame of a chat may take besides its text: the envelope's bytes and the template's allowance. */
const ENVELOPE_TOKENS = 500

const { baseUrl } = await startUpstream(exchange => {
  exchange.tokens(3)
  if (exchange.body.user === 'silent') exchange.finishSilently()
  else exchange.finish()
})
const price = { input: PRICE.input, cachedInput: PRICE.cached, output: PRICE.output }
const [upstream] = upstreamConfig(baseUrl, price) as [{ models: [object] }]
const [model] = upstream.models
const server = await startServer(newHome(), {
  upstreams: [
    {
      ...upstream,
      models: [
        { ...model, tokenizer: join(TOKENIZER, 'tokenizer.json') },
        { ...model, model: 'plain', name: 'plain' },
        { ...model, model: 'misled', name: 'misled', tokenizer: join(TOKENIZER, 'counts.json') },
      ],
    },
  ],
  money: { startingCredit: '1000' },
  log: { level: 'warn' },
})

/** A request whose upstream says nothing is charged for so many tokens of input, marked counted. */
async function check(name: string, tokens: number): Promise<void> {
  for (const stream of [true, false]) {
    const messages = [{ role: 'user', content: TEXT }]
    const { requestId } = await chat(server, { model: name, user: 'silent', messages, stream })
    const { usage, counts: charged } = await ledgerRow(server, requestId, PRICE)
    assert.deepEqual([charged.input, usage.input_source, charged.output], [tokens, 'counted', 3], name)
  }
}

test('input that the upstream did not report is counted with the tokenizer, and from the bytes without one', async () => {
  await check('paced', TOKENS)
  await check('plain', Math.ceil(Buffer.byteLength(TEXT) / 8) + 1)
})

test('a file that is no tokenizer is named in the log, and the bytes count', async () => {
  await check('misled', Math.ceil(Buffer.byteLength(TEXT) / 8) + 1)
  assert.equal(server.log().match(/a tokenizer cannot be used/g)?.length, 1)
  assert.match(server.log(), /counts\.json is no tokenizer/)
})

test('what the upstream reports is never counted again', async () => {
  const { requestId } = await chat(server, { model: 'paced', messages: [{ role: 'user', content: TEXT }] })
  const { usage, counts: charged } = await ledgerRow(server, requestId, PRICE)
  assert.deepEqual([charged.input, usage.input_source], [UPSTREAM_INPUT_TOKENS, 'reported'])
})

test('credit that the bytes exceed but the tokens do not is enough', async () => {
  const org = (await server.control.listOrgs()).data[0]?.id ?? ''
  const cap = formatDollars(BigInt(TOKENS + ENVELOPE_TOKENS) * TOKEN_NANODOLLARS)
  assert.ok(TOKENS + ENVELOPE_TOKENS < Buffer.byteLength(TEXT))
  const key = await server.control.createKey({ org, name: 'short', cap })
  const status = async (name: string) => {
    const body = { model: name, max_tokens: 16, messages: [{ role: 'user', content: TEXT }] }
    return (await chat({ url: server.url, key: key.secret }, body)).status
  }
  assert.deepEqual([await status('plain'), await status('misled'), await status('paced')], [402, 402, 200])
})
