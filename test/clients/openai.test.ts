import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import OpenAI from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { z } from 'zod'
import { parseDollars } from '../../src/ledger/money.ts'
import { ledgerRow, type PriceText } from '../support/money.ts'
import { headrace, newHome, pullFixture, startServer } from '../support/server.ts'

/** The official client, as it is installed, against the real server with real engines. Each success equals its ledger row. */

/** Half nanodollars come up, so that the rounding shows. */
const PRICE: PriceText = { input: '1.3005', cached: '0.1005', output: '2.6' }
const MODELS = ['llama', 'deepseek4'] as const

const home = newHome()
for (const model of MODELS) await pullFixture(home, model, PRICE)
const server = await startServer(home, {
  engine: { contextTokens: 4096, parallel: 2, promptCacheBytesMax: 64 * 2 ** 20 },
})
const client = clientWith(server.key)

function clientWith(apiKey: string, fetch?: typeof globalThis.fetch): OpenAI {
  return new OpenAI({ apiKey, baseURL: `${server.url}/v1`, ...(fetch === undefined ? {} : { fetch }) })
}

const VOCABULARY = 'river wheel stone mill light turns runs under bridge green morning quiet through valley'.split(' ')

/** About as many tokens as words, different for each `shift`. */
function words(count: number, shift = 0): string {
  return Array.from({ length: count }, (_, i) => VOCABULARY[(i * 5 + shift + (i >> 3)) % VOCABULARY.length]).join(' ')
}

const ask = (content: string) => [{ role: 'user' as const, content }]

type SeenUsage = OpenAI.CompletionUsage & { estimated_cost: number }

/** What the client was told equals the row in the ledger, `GET /v1/usage/{request}`, and price × counts. */
async function checkMoney(requestId: string | null, seen: OpenAI.CompletionUsage | null | undefined) {
  assert.ok(requestId !== null && seen)
  const row = await ledgerRow(server, requestId, PRICE)
  assert.equal(row.ending, 'completed')
  assert.deepEqual(
    [row.usage.input_source, row.usage.cached_input_source, row.usage.output_source],
    ['reported', 'reported', 'reported'],
  )
  assert.deepEqual(
    {
      input: seen.prompt_tokens,
      cached: seen.prompt_tokens_details?.cached_tokens,
      output: seen.completion_tokens,
    },
    row.counts,
  )
  assert.equal(seen.total_tokens, row.counts.input + row.counts.output)
  assert.equal(seen.completion_tokens_details?.reasoning_tokens, row.usage.reasoning_tokens)
  // A double holds 15 digits, more than a charge of some nanodollars has.
  assert.equal(parseDollars((seen as SeenUsage).estimated_cost.toFixed(9)), row.charge)
  const told = (await client.get(`/usage/${requestId}`)) as Told
  assert.deepEqual([told.status, told.ending, parseDollars(told.charge)], ['settled', 'completed', row.charge])
  assert.equal(told.usage.completion_tokens, row.counts.output)
  return row
}

/** The request that ended last: the client's stream helper does not tell the id. */
async function newestId(): Promise<string> {
  return (await server.control.listUsage({ limit: 1 })).data[0]?.request ?? ''
}

interface Told {
  readonly status: string
  readonly ending: string
  readonly charge: string
  readonly usage: OpenAI.CompletionUsage
}

const LIGHT: OpenAI.ChatCompletionTool = {
  type: 'function',
  function: {
    name: 'set_light',
    parameters: { type: 'object', properties: { on: { type: 'boolean' } }, required: ['on'] },
  },
}
const DIM: OpenAI.ChatCompletionTool = { type: 'function', function: { name: 'dim' } }

function checkCall(call: OpenAI.ChatCompletionMessageToolCall | undefined): void {
  assert.ok(call?.type === 'function')
  assert.match(call.id, /^call_/)
  assert.equal(call.function.name, 'set_light')
  assert.equal(typeof JSON.parse(call.function.arguments).on, 'boolean')
}

const City = z.object({ city: z.string().max(40), size: z.int().min(0).max(999), kind: z.enum(['town', 'port']) })

for (const model of MODELS) {
  test(`${model}: chat, with n and log probabilities`, async () => {
    const { data, request_id, response } = await client.chat.completions
      .create({ model, messages: ask('Hello'), max_tokens: 12, n: 2, seed: 1, logprobs: true, top_logprobs: 2 })
      .withResponse()
    assert.equal(data.object, 'chat.completion')
    assert.equal(data.model, model)
    assert.deepEqual(
      data.choices.map(choice => [choice.index, choice.finish_reason, choice.logprobs?.content?.length]),
      [
        [0, 'length', 12],
        [1, 'length', 12],
      ],
    )
    assert.ok(data.choices.every(choice => choice.logprobs?.content?.every(one => one.top_logprobs.length === 2)))
    const { charge } = await checkMoney(request_id, data.usage)
    assert.equal(data.usage?.completion_tokens, 24)
    assert.equal(parseDollars(response.headers.get('x-headrace-cost') ?? ''), charge)
    assert.equal(response.headers.get('x-headrace-upstream'), 'engine')
  })

  test(`${model}: a stream says what the buffered answer says, and its usage`, async () => {
    const body = { model, messages: ask('Hello'), max_tokens: 20, temperature: 0, reasoning_effort: 'none' } as const
    const whole = await client.chat.completions.create(body)
    const { data: stream, request_id } = await client.chat.completions.create({ ...body, stream: true }).withResponse()
    let text = ''
    let usage: OpenAI.CompletionUsage | null | undefined
    let chunks = 0
    for await (const chunk of stream) {
      chunks++
      text += chunk.choices[0]?.delta.content ?? ''
      usage ??= chunk.usage
    }
    assert.equal(text, whole.choices[0]?.message.content)
    // How many texts one frame holds depends on how busy the machine is; a role, a text and an end are always apart.
    assert.ok(text.length > 0 && chunks >= 3, `${chunks} chunks`)
    await checkMoney(request_id, usage)

    const helped = client.chat.completions.stream({ ...body, stream_options: { include_usage: true } })
    const final = await helped.finalChatCompletion()
    assert.equal(final.choices[0]?.message.content, text)
    await checkMoney(await newestId(), final.usage)
  })

  test(`${model}: tools, demanded, named and chosen`, async () => {
    for (const [choice, tools] of [
      ['required', [LIGHT]],
      [{ type: 'function', function: { name: 'set_light' } }, [DIM, LIGHT]],
    ] as const) {
      const { data, request_id } = await client.chat.completions
        .create({
          model,
          messages: ask('Light!'),
          tools: [...tools],
          tool_choice: choice,
          parallel_tool_calls: false,
          max_tokens: 300,
        })
        .withResponse()
      assert.equal(data.choices[0]?.finish_reason, 'tool_calls')
      assert.equal(data.choices[0].message.tool_calls?.length, 1)
      checkCall(data.choices[0].message.tool_calls[0])
      await checkMoney(request_id, data.usage)
    }
    // Random weights call a tool of their own accord more often than not; which seed does is the machine's affair.
    for (let seed = 1; ; seed++) {
      const { data: stream, request_id } = await client.chat.completions
        .create({
          model,
          messages: ask('Light!'),
          tools: [LIGHT],
          temperature: 1,
          seed,
          max_tokens: 200,
          reasoning_effort: 'none',
          stream: true,
        })
        .withResponse()
      const parts = new Map<number, { id: string; name: string; arguments: string }>()
      let usage: OpenAI.CompletionUsage | null | undefined
      for await (const chunk of stream) {
        usage ??= chunk.usage
        for (const { index, id, function: part } of chunk.choices[0]?.delta.tool_calls ?? []) {
          const call = parts.get(index) ?? { id: '', name: '', arguments: '' }
          parts.set(index, {
            id: call.id + (id ?? ''),
            name: call.name + (part?.name ?? ''),
            arguments: call.arguments + (part?.arguments ?? ''),
          })
        }
      }
      await checkMoney(request_id, usage)
      const first = parts.get(0)
      if (first !== undefined) {
        checkCall({ type: 'function', id: first.id, function: first })
        break
      }
      assert.ok(seed < 8, 'no seed made the model call a tool')
    }
  })

  test(`${model}: an answer to a tool call goes on`, async () => {
    const { data, request_id } = await client.chat.completions
      .create({
        model,
        max_tokens: 8,
        tools: [LIGHT],
        tool_choice: 'none',
        messages: [
          ...ask('Light!'),
          {
            role: 'assistant',
            content: null,
            tool_calls: [{ type: 'function', id: 'call_1', function: { name: 'set_light', arguments: '{"on":true}' } }],
          },
          { role: 'tool', tool_call_id: 'call_1', content: 'It is on.' },
        ],
      })
      .withResponse()
    assert.equal(data.choices[0]?.message.tool_calls, undefined)
    await checkMoney(request_id, data.usage)
  })

  test(`${model}: a JSON schema binds the answer, buffered and streamed`, async () => {
    const body = {
      model,
      messages: ask('Name a city.'),
      response_format: zodResponseFormat(City, 'city'),
      temperature: 1,
      seed: 1,
      max_tokens: 1000,
    }
    const parsed = await client.chat.completions.parse(body)
    assert.equal(parsed.choices[0]?.finish_reason, 'stop')
    assert.ok(['town', 'port'].includes(parsed.choices[0].message.parsed?.kind ?? ''))
    await checkMoney(parsed._request_id ?? null, parsed.usage)
    const stream = client.chat.completions.stream(body)
    const final = await stream.finalChatCompletion()
    City.parse(JSON.parse(final.choices[0]?.message.content ?? ''))
    await checkMoney(await newestId(), final.usage)
  })

  test(`${model}: an answer ends before a stop sequence`, async () => {
    const body = { model, messages: ask('Hello'), max_tokens: 30, temperature: 0, reasoning_effort: 'none' } as const
    const whole = (await client.chat.completions.create(body)).choices[0]?.message.content ?? ''
    const stop = whole.slice(40, 46)
    const { data, request_id } = await client.chat.completions
      .create({ ...body, stop: ['never said', stop] })
      .withResponse()
    assert.equal(data.choices[0]?.message.content, whole.slice(0, whole.indexOf(stop)))
    assert.equal(data.choices[0].finish_reason, 'stop')
    const { counts } = await checkMoney(request_id, data.usage)
    assert.ok(counts.output < 30)
  })

  test(`${model}: the older completions`, async () => {
    const body = { model, prompt: words(20), max_tokens: 10, temperature: 0 }
    const { data, request_id } = await client.completions.create({ ...body, n: 2, logprobs: 1 }).withResponse()
    assert.equal(data.object, 'text_completion')
    assert.equal(data.choices.length, 2)
    assert.equal(data.choices[0]?.logprobs?.tokens?.length, 10)
    await checkMoney(request_id, data.usage)
    const { data: stream, request_id: streamId } = await client.completions
      .create({ ...body, stream: true })
      .withResponse()
    let text = ''
    let usage: OpenAI.CompletionUsage | null | undefined
    for await (const chunk of stream) {
      text += chunk.choices[0]?.text ?? ''
      usage ??= chunk.usage
    }
    assert.equal(text, data.choices[0].text)
    await checkMoney(streamId, usage)
  })

  test(`${model}: a long prompt sent twice is cached and costs less`, async () => {
    const body = { model, messages: ask(words(1500, 3)), max_tokens: 4 }
    const first = await client.chat.completions.create(body)
    const second = await client.chat.completions.create(body)
    const cold = await checkMoney(first._request_id ?? null, first.usage)
    const warm = await checkMoney(second._request_id ?? null, second.usage)
    assert.ok(cold.counts.input > 1500 && cold.counts.cached < 100, JSON.stringify(cold.counts))
    assert.equal(warm.counts.input, cold.counts.input)
    assert.ok(warm.counts.cached > 1400, JSON.stringify(warm.counts))
    assert.ok(warm.charge * 3n < cold.charge, `${warm.charge} ${cold.charge}`)
  })

  test(`${model}: a stream that the client leaves is charged for what was made until it stopped`, async () => {
    const stream = await client.chat.completions
      .create({ model, messages: ask('Go on and on.'), max_tokens: 3000, stream: true, logprobs: true })
      .withResponse()
    let received = 0
    for await (const chunk of stream.data) {
      received += chunk.choices[0]?.logprobs?.content?.length ?? 0
      if (received >= 10) break
    }
    const requestId = stream.request_id ?? ''
    const told = await settled(requestId)
    const row = await ledgerRow(server, requestId, PRICE)
    assert.deepEqual([row.ending, told.ending], ['cancelled', 'cancelled'])
    assert.deepEqual(
      [told.usage.prompt_tokens, told.usage.prompt_tokens_details?.cached_tokens, told.usage.completion_tokens],
      [row.counts.input, row.counts.cached, row.counts.output],
    )
    assert.equal(parseDollars(told.charge), row.charge)
    assert.ok(row.counts.output >= received && row.counts.output < 3000, `${row.counts.output} ${received}`)
  })
}

/** Asks until the request is settled: nobody tells a client that left. */
async function settled(requestId: string): Promise<Told> {
  for (let tries = 0; ; tries++) {
    const told = (await client.get(`/usage/${requestId}`)) as Told
    if (told.status === 'settled') return told
    assert.ok(tries < 400, 'a request that its client left did not end')
    await sleep(25)
  }
}

test('models are listed and retrieved with their prices', async () => {
  const ids: string[] = []
  for await (const model of client.models.list()) ids.push(model.id)
  assert.deepEqual(ids.sort(), [...MODELS].sort())
  const model = (await client.models.retrieve('deepseek4')) as OpenAI.Model & { pricing: Record<string, string> }
  assert.equal(model.object, 'model')
  assert.equal(Number(model.pricing.prompt), 0.0000013005)
  assert.equal(Number(model.pricing.input_cache_read), 0.0000001005)
  await assert.rejects(client.models.retrieve('nothing'), OpenAI.NotFoundError)
})

test('errors are those that the client knows, tried once, and nothing is held or charged after them', async () => {
  const before = (await server.control.listUsage()).data[0]?.request
  const capped = await server.control.createKey({ org: await orgId(), name: 'capped', cap: '0.000001' })
  const revoked = await server.control.createKey({ org: await orgId(), name: 'revoked' })
  await server.control.revokeKey(revoked.id)
  const plain = { model: 'llama', messages: ask('Hello'), max_tokens: 8 }
  const cases: readonly {
    key?: string
    body?: object
    kind: abstract new (...args: never) => InstanceType<typeof OpenAI.APIError>
    status: number
    code: string
    param?: string
  }[] = [
    { key: `sk-hr-${'0'.repeat(33)}`, kind: OpenAI.AuthenticationError, status: 401, code: 'invalid_api_key' },
    { key: revoked.secret, kind: OpenAI.AuthenticationError, status: 401, code: 'revoked_api_key' },
    { key: capped.secret, kind: OpenAI.APIError, status: 402, code: 'key_cap_exceeded' },
    { body: { model: 'nothing' }, kind: OpenAI.NotFoundError, status: 404, code: 'model_not_found', param: 'model' },
    {
      body: { temperature: 9 },
      kind: OpenAI.BadRequestError,
      status: 400,
      code: 'invalid_value',
      param: 'temperature',
    },
    {
      body: { messages: ask(words(5000)) },
      kind: OpenAI.BadRequestError,
      status: 400,
      code: 'context_length_exceeded',
      param: 'messages',
    },
    {
      body: { messages: undefined },
      kind: OpenAI.BadRequestError,
      status: 400,
      code: 'missing_required_parameter',
      param: 'messages',
    },
  ]
  for (const { key, body, kind, status, code, param } of cases) {
    for (const stream of [false, true]) {
      let sent = 0
      const counting: typeof fetch = (url, init) => {
        sent++
        return fetch(url, init)
      }
      const attempt = clientWith(key ?? server.key, counting).chat.completions.create({ ...plain, ...body, stream })
      await assert.rejects(attempt, (error: unknown) => {
        assert.ok(error instanceof kind, `${code}: ${error}`)
        assert.deepEqual([error.status, error.code, error.param ?? undefined], [status, code, param])
        assert.match(error.requestID ?? '', /^req_/)
        return true
      })
      assert.equal(sent, 1, `${code} was tried ${sent} times`)
    }
  }
  // A prompt that the engine found too long is on record, free of charge.
  const since = (await server.control.listUsage()).data
  const after = since.slice(
    0,
    since.findIndex(row => row.request === before),
  )
  assert.deepEqual([...new Set(after.map(row => `${row.ending} ${row.charge}`))], ['failed 0.00'])
  assert.equal((await server.control.status()).open_holds, 0)
})

async function orgId(): Promise<string> {
  return (await server.control.listOrgs()).data[0]?.id ?? ''
}

test('the books balance after all this, while the server runs and after it has stopped', async () => {
  const { ok, problems } = await server.control.verifyLedger()
  assert.ok(ok, problems.join('\n'))
  await server.stop()
  assert.equal((await headrace(home, 'ledger', 'verify')).ok, true)
})
