import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import Anthropic from '@anthropic-ai/sdk'
import { ledgerRow, type PriceText } from '../support/money.ts'
import { headrace, newHome, pullFixture, startServer } from '../support/server.ts'
import { startUpstream, upstreamConfig } from '../support/upstream.ts'

/** Anthropic's official client, as it is installed, against the real server with real engines. Each success equals its ledger row. */

/** Half nanodollars come up, so that the rounding shows. */
const PRICE: PriceText = { input: '1.3005', cached: '0.1005', output: '2.6' }
const MODELS = ['llama', 'deepseek4'] as const

/** An upstream that says six words and breaks off. */
const breaking = await startUpstream(exchange => {
  exchange.tokens(6)
  setImmediate(() => exchange.destroy())
})
const nobody = { id: 'nobody', baseUrl: 'http://127.0.0.1:9/v1', allowPrivate: true }

const home = newHome()
for (const model of MODELS) await pullFixture(home, model, PRICE)
const offered = { contextTokens: 8192, price: { input: '1', cachedInput: '1', output: '1' } }
const server = await startServer(home, {
  engine: { contextTokens: 4096, parallel: 2, promptCacheBytesMax: 64 * 2 ** 20 },
  server: { bodyBytesMax: 200_000 },
  upstreams: [
    ...upstreamConfig(breaking.baseUrl, offered.price),
    { ...nobody, models: [{ model: 'nowhere', name: 'nowhere', ...offered }] },
  ],
})
const client = clientWith(server.key)

function clientWith(apiKey: string, options: ConstructorParameters<typeof Anthropic>[0] = {}): Anthropic {
  return new Anthropic({ apiKey, baseURL: server.url, ...options })
}

const VOCABULARY = 'river wheel stone mill light turns runs under bridge green morning quiet through valley'.split(' ')

/** About as many tokens as words, different for each `shift`. */
function words(count: number, shift = 0): string {
  return Array.from({ length: count }, (_, i) => VOCABULARY[(i * 5 + shift + (i >> 3)) % VOCABULARY.length]).join(' ')
}

const ask = (content: string): Anthropic.MessageParam[] => [{ role: 'user', content }]

/** What the client was told equals the row in the ledger and price × counts. */
async function checkMoney(requestId: string | null | undefined, seen: Anthropic.Usage) {
  assert.ok(requestId)
  const row = await ledgerRow(server, requestId, PRICE)
  assert.equal(row.ending, 'completed')
  const { input_tokens: fresh, cache_read_input_tokens: read, cache_creation_input_tokens: written } = seen
  assert.deepEqual(
    { input: fresh + (read ?? 0) + (written ?? 0), cached: read, output: seen.output_tokens },
    row.counts,
  )
  assert.equal(seen.output_tokens_details?.thinking_tokens, row.usage.reasoning_tokens)
  return row
}

/** The request that ended last: the client's stream helper does not tell the id. */
async function newestId(): Promise<string> {
  return (await server.control.listUsage({ limit: 1 })).data[0]?.request ?? ''
}

const LIGHT: Anthropic.Tool = {
  name: 'set_light',
  input_schema: { type: 'object', properties: { on: { type: 'boolean' } }, required: ['on'] },
}
const DIM: Anthropic.Tool = { name: 'dim', input_schema: { type: 'object' } }
const ONE_CALL = { disable_parallel_tool_use: true }

function checkCall(block: Anthropic.ContentBlock | undefined): asserts block is Anthropic.ToolUseBlock {
  assert.ok(block?.type === 'tool_use', JSON.stringify(block))
  assert.equal(block.name, 'set_light')
  assert.equal(typeof (block.input as { on: unknown }).on, 'boolean')
}

for (const model of MODELS) {
  test(`${model}: a stream says what the one body says, and its usage`, async () => {
    // The engine has no switch for it in this API, and the same prompt and seed give the same answer only without chance.
    const body = { model, messages: ask('Hello'), max_tokens: 20, temperature: 0 } as const
    const { data: whole, request_id } = await client.messages.create(body).withResponse()
    assert.deepEqual(
      [whole.type, whole.role, whole.model, whole.stop_reason],
      ['message', 'assistant', model, 'max_tokens'],
    )
    assert.equal(whole.usage.output_tokens, 20)
    await checkMoney(request_id, whole.usage)

    const events: string[] = []
    const stream = client.messages.stream(body).on('streamEvent', event => events.push(event.type))
    const final = await stream.finalMessage()
    assert.deepEqual(final.content.map(withoutSignature), whole.content.map(withoutSignature))
    assert.equal(final.stop_reason, 'max_tokens')
    assert.deepEqual(
      [events[0], ...events.slice(-3)],
      ['message_start', 'content_block_stop', 'message_delta', 'message_stop'],
    )
    await checkMoney(await newestId(), final.usage)
  })

  test(`${model}: tools, demanded, named, and answered`, async () => {
    const body = { model, messages: ask('Light!'), max_tokens: 300 }
    const { data, request_id } = await client.messages
      .create({ ...body, tools: [LIGHT], tool_choice: { type: 'any', ...ONE_CALL } })
      .withResponse()
    assert.equal(data.stop_reason, 'tool_use')
    checkCall(data.content[0])
    await checkMoney(request_id, data.usage)

    const helped = client.messages.stream({
      ...body,
      tools: [DIM, LIGHT],
      tool_choice: { type: 'tool', name: 'set_light', ...ONE_CALL },
    })
    const final = await helped.finalMessage()
    assert.equal(final.stop_reason, 'tool_use')
    const call = final.content.at(-1)
    checkCall(call)
    await checkMoney(await newestId(), final.usage)

    const result = { type: 'tool_result', tool_use_id: call.id, content: 'There is no light.', is_error: true } as const
    const { data: next, request_id: nextId } = await client.messages
      .create({
        ...{ model, max_tokens: 8, tools: [LIGHT], tool_choice: { type: 'none' } },
        messages: [
          ...body.messages,
          { role: 'assistant', content: final.content },
          { role: 'user', content: [result, { type: 'text', text: 'Look again.' }] },
        ],
      })
      .withResponse()
    assert.ok(next.content.every(block => block.type !== 'tool_use'))
    await checkMoney(nextId, next.usage)
  })

  test(`${model}: a JSON schema binds the answer`, async () => {
    const schema = { type: 'object', properties: { kind: { enum: ['town', 'port'] } }, required: ['kind'] }
    const { data, request_id } = await client.messages
      .create({
        ...{ model, messages: ask('Name a kind.'), max_tokens: 500, temperature: 1 },
        output_config: { format: { type: 'json_schema', schema } },
      })
      .withResponse()
    const text = data.content.find(block => block.type === 'text')?.text
    assert.ok(['town', 'port'].includes(JSON.parse(text ?? '').kind))
    await checkMoney(request_id, data.usage)
  })

  test(`${model}: what is counted is what is charged`, async () => {
    const body = {
      model,
      system: 'Be brief.',
      messages: ask(words(30)),
      tools: [LIGHT],
      thinking: { type: 'disabled' as const },
    }
    const { input_tokens: counted } = await client.messages.countTokens(body)
    const { data, request_id } = await client.messages.create({ ...body, max_tokens: 1 }).withResponse()
    const { counts } = await checkMoney(request_id, data.usage)
    assert.equal(counted, counts.input)
  })

  test(`${model}: a stream that the client leaves is charged for what was made until it stopped`, async () => {
    const { data: stream, request_id } = await client.messages
      .create({ model, messages: ask('Go on and on.'), max_tokens: 3000, stream: true })
      .withResponse()
    let received = 0
    for await (const event of stream) if (event.type === 'content_block_delta' && ++received >= 10) break
    await settled(request_id ?? '')
    const row = await ledgerRow(server, request_id ?? '', PRICE)
    assert.equal(row.ending, 'cancelled')
    assert.ok(row.counts.output >= received && row.counts.output < 3000, `${row.counts.output} ${received}`)
  })
}

function withoutSignature(block: Anthropic.ContentBlock): object {
  if (block.type !== 'thinking') return block
  assert.match(block.signature, /^hr1\.msg_/)
  return { ...block, signature: '' }
}

/** Asks until the request is settled: nobody tells a client that left. */
async function settled(requestId: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    const { data } = await server.control.listUsage({ limit: 100 })
    if (data.some(row => row.request === requestId)) return
    assert.ok(tries < 400, 'a request that its client left did not end')
    await sleep(25)
  }
}

test('the system prompt of Claude Code is read from the cache in another session', async () => {
  const inSession = (digits: number, prompt: string) => ({
    ...{ model: 'llama', max_tokens: 4, messages: ask(prompt) },
    system: [
      { type: 'text' as const, text: `x-anthropic-billing-header: cc_version=2.1.330.${digits}; cc_entrypoint=cli;` },
      { type: 'text' as const, text: words(1500, 7), cache_control: { type: 'ephemeral' as const } },
    ],
  })
  const first = await client.messages.create(inSession(123, 'Hello')).withResponse()
  const second = await client.messages.create(inSession(456, 'Something else')).withResponse()
  const cold = await checkMoney(first.request_id, first.data.usage)
  const warm = await checkMoney(second.request_id, second.data.usage)
  assert.ok(cold.counts.input > 1500 && cold.counts.cached < 100, JSON.stringify(cold.counts))
  assert.ok((second.data.usage.cache_read_input_tokens ?? 0) > 1400, JSON.stringify(warm.counts))
  assert.ok(warm.charge * 3n < cold.charge, `${warm.charge} ${cold.charge}`)
})

test('thinking comes in blocks of its own, and goes back', async () => {
  const body = { model: 'deepseek4', max_tokens: 40, temperature: 0 } as const
  const { data, request_id } = await client.messages
    .create({ ...body, messages: ask('Hello'), thinking: { type: 'adaptive' } })
    .withResponse()
  assert.equal(data.content[0]?.type, 'thinking')
  const { usage } = await checkMoney(request_id, data.usage)
  assert.ok(usage.reasoning_tokens > 0)
  const { data: next, request_id: nextId } = await client.messages
    .create({
      ...body,
      messages: [...ask('Hello'), { role: 'assistant', content: data.content }, ...ask('Go on.')],
      thinking: { type: 'disabled' },
    })
    .withResponse()
  assert.ok(next.content.every(block => block.type === 'text'))
  await checkMoney(nextId, next.usage)
})

test('an answer ends before a stop sequence, and says which', async () => {
  const body = { model: 'llama', messages: ask('Hello'), max_tokens: 30, temperature: 0 } as const
  const whole = (await client.messages.create(body)).content[0]
  assert.ok(whole?.type === 'text')
  const stop = whole.text.slice(40, 46)
  const { data, request_id } = await client.messages
    .create({ ...body, stop_sequences: ['never said', stop] })
    .withResponse()
  assert.deepEqual([data.stop_reason, data.stop_sequence], ['stop_sequence', stop])
  assert.deepEqual(
    data.content.map(block => block.type === 'text' && block.text),
    [whole.text.slice(0, whole.text.indexOf(stop))],
  )
  await checkMoney(request_id, data.usage)
})

test('models are listed and retrieved', async () => {
  const ids: string[] = []
  for await (const model of client.models.list()) ids.push(model.id)
  assert.deepEqual(ids.sort(), [...MODELS, 'nowhere', 'paced'].sort())
  const model = await client.models.retrieve('llama')
  assert.deepEqual([model.type, model.lifecycle], ['model', 'active'])
  assert.ok(Date.parse(model.created_at) > 0)
  await assert.rejects(client.models.retrieve('nothing'), Anthropic.NotFoundError)
})

test('an answer that breaks off is an error and no short success', async () => {
  const body = { model: 'paced', messages: ask('Hello'), max_tokens: 100 }
  const stream = client.messages.stream(body)
  let text = ''
  stream.on('text', delta => {
    text += delta
  })
  await assert.rejects(stream.finalMessage(), (error: unknown) => {
    assert.ok(error instanceof Anthropic.APIError, String(error))
    assert.equal(error.type, 'api_error')
    return true
  })
  assert.equal(text, ' token'.repeat(6))
  await assert.rejects(clientWith(server.key, { maxRetries: 0 }).messages.create(body), Anthropic.InternalServerError)
})

test('errors are those that the client knows, and only what may pass is tried again', async () => {
  const org = (await server.control.listOrgs()).data[0]?.id ?? ''
  const other = await server.control.createOrg({ name: 'Disabled' })
  const keyOf = (name: string, cap?: string) => server.control.createKey({ org, name, cap })
  const capped = await keyOf('capped', '0.000001')
  const slow = await keyOf('slow')
  const disabled = await server.control.createKey({ org: other.id, name: 'disabled' })
  await server.control.updateOrg(other.id, { disabled: true })
  await server.control.createLimit({ key: slow.id, measure: 'requests', amount: '1', window: 'month' })
  const plain = { model: 'llama', messages: ask('Hello'), max_tokens: 8 }
  await clientWith(slow.secret).messages.create(plain)
  type Kind = abstract new (...args: never) => InstanceType<typeof Anthropic.APIError>
  const cases: readonly {
    key?: string
    body?: object
    kind: Kind
    status: number
    type: string
    code: string
    again?: boolean
  }[] = [
    {
      body: { max_tokens: undefined },
      kind: Anthropic.BadRequestError,
      status: 400,
      type: 'invalid_request_error',
      code: 'missing_required_parameter',
    },
    {
      body: { messages: ask(words(5000)) },
      kind: Anthropic.BadRequestError,
      status: 400,
      type: 'invalid_request_error',
      code: 'context_length_exceeded',
    },
    {
      key: `sk-hr-${'0'.repeat(33)}`,
      kind: Anthropic.AuthenticationError,
      status: 401,
      type: 'authentication_error',
      code: 'invalid_api_key',
    },
    {
      key: capped.secret,
      kind: Anthropic.PaymentRequiredError,
      status: 402,
      type: 'billing_error',
      code: 'key_cap_exceeded',
    },
    {
      key: disabled.secret,
      kind: Anthropic.PermissionDeniedError,
      status: 403,
      type: 'permission_error',
      code: 'org_disabled',
    },
    {
      body: { model: 'nothing' },
      kind: Anthropic.NotFoundError,
      status: 404,
      type: 'not_found_error',
      code: 'model_not_found',
    },
    {
      body: { messages: ask('x'.repeat(300_000)) },
      kind: Anthropic.ContentTooLargeError,
      status: 413,
      type: 'request_too_large',
      code: 'request_too_large',
    },
    {
      key: slow.secret,
      kind: Anthropic.RateLimitError,
      status: 429,
      type: 'rate_limit_error',
      code: 'rate_limit_exceeded',
    },
    {
      body: { model: 'nowhere' },
      kind: Anthropic.ServiceUnavailableError,
      status: 503,
      type: 'overloaded_error',
      code: 'model_unavailable',
      again: true,
    },
  ]
  for (const { key, body, kind, status, type, code, again } of cases) {
    for (const stream of [false, true]) {
      let sent = 0
      const counting: typeof fetch = (url, init) => {
        sent++
        return fetch(url, init)
      }
      const asking = clientWith(key ?? server.key, { fetch: counting, maxRetries: again ? 0 : 2 })
      await assert.rejects(asking.messages.create({ ...plain, ...body, stream }), (error: unknown) => {
        assert.ok(error instanceof kind, `${code}: ${error}`)
        const told = error.error as { error: { details: { error_code: string } }; request_id: string }
        assert.deepEqual([error.status, error.type, told.error.details.error_code], [status, type, code])
        assert.match(error.requestID ?? '', /^req_/)
        assert.equal(told.request_id, error.requestID)
        assert.equal(error.headers?.get('x-should-retry'), String(again === true))
        return true
      })
      assert.equal(sent, 1, `${code} was tried ${sent} times`)
    }
  }
  await assert.rejects(client.messages.countTokens({ model: 'nothing', messages: ask('x') }), Anthropic.NotFoundError)
  await assert.rejects(clientWith('no key').messages.countTokens(plain), (error: unknown) => {
    assert.ok(error instanceof Anthropic.AuthenticationError)
    assert.match(error.requestID ?? '', /^req_/)
    return true
  })
  assert.equal((await server.control.status()).open_holds, 0)
})

test('the books balance after all this', async () => {
  const { ok, problems } = await server.control.verifyLedger()
  assert.ok(ok, problems.join('\n'))
  await server.stop()
  assert.equal((await headrace(home, 'ledger', 'verify')).ok, true)
})
