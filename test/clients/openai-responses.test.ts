import assert from 'node:assert/strict'
import { test } from 'node:test'
import OpenAI, { APIError, BadRequestError, NotFoundError } from 'openai'
import { zodTextFormat } from 'openai/helpers/zod'
import type { Response, ResponseCreateParams, ResponseStreamEvent } from 'openai/resources/responses/responses'
import { z } from 'zod'
import { parseDollars } from '../../src/ledger/money.ts'
import { ledgerRow, type PriceText } from '../support/money.ts'
import {
  call,
  SCRIPTED_USAGE,
  type Script,
  scriptedConfig,
  startScripted,
  words,
} from '../support/scripted-upstream.ts'
import { newHome, startServer } from '../support/server.ts'

/** The official client's Responses, as it is installed, against the real server before an upstream that says what a test wants. */

const PRICE: PriceText = { input: '1.3005', cached: '0.1005', output: '2.6' }
const THINK = words('I should greet.', 'reasoning_content')

/** Held back until a test lets go. */
const gates = new Map<string, PromiseWithResolvers<void>>()
function gate(name: string): PromiseWithResolvers<void> {
  const known = gates.get(name) ?? Promise.withResolvers<void>()
  gates.set(name, known)
  return known
}

const SCRIPTS: Readonly<Record<string, () => Script>> = {
  hello: () => [...THINK, ...words('Hello to you.'), { finish: 'stop' }],
  plain: () => [...words('Just words.'), { finish: 'stop' }],
  calls: () => [
    ...THINK,
    ...words('I look. '),
    ...call(0, 'call_a', 'weather', '{"city":"Ghent"}'),
    ...call(1, 'call_b', 'files__read', '{"path":"a.txt"}'),
    ...call(2, 'call_c', 'patch', '{"input":"*** \\"x\\""}'),
    { finish: 'tool_calls' },
  ],
  json: () => [...words('{"city": "Ghent", "size": 3}'), { finish: 'stop' }],
  long: () => [...words('It goes on'), { finish: 'length' }],
  breaks: () => [...words('It breaks')],
  refusal: () => [{ refusal: 'I would ' }, { refusal: 'rather not.' }, { finish: 'stop' }],
  held: () => [...words('It begins '), gate('held').promise, ...words('and ends.'), { finish: 'stop' }],
  stays: () => [...words('It stays '), gate('stays').promise, ...words('too long.'), { finish: 'stop' }],
  streamed: () => [
    ...THINK,
    ...words('It begins '),
    gate('streamed').promise,
    ...words('and ends.'),
    { finish: 'stop' },
  ],
}

const upstream = await startScripted(({ messages }) => {
  const said = messages.findLast(({ role }) => role === 'user')?.content
  if (String(said).startsWith('Write a summary')) return [...words('They said hello.'), { finish: 'stop' }]
  const script = SCRIPTS[String(said).split(':')[0] as string]
  assert.ok(script, `no script for ${JSON.stringify(said)}`)
  return script()
})
const { input, cached, output } = PRICE
const upstreams = scriptedConfig(upstream.baseUrl, { input, cachedInput: cached, output })
const home = newHome()
const server = await startServer(home, { upstreams })
const client = new OpenAI({ apiKey: server.key, baseURL: `${server.url}/v1`, maxRetries: 0 })

const asked = () => upstream.asked.at(-1)?.messages

/** What the client was told equals the row in the ledger. */
async function checkMoney(requestId: string, usage: Response['usage']) {
  assert.ok(usage)
  const row = await ledgerRow(server, requestId, PRICE)
  assert.equal(row.ending, 'completed')
  assert.deepEqual(
    { input: usage.input_tokens, cached: usage.input_tokens_details.cached_tokens, output: usage.output_tokens },
    row.counts,
  )
  assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens)
  assert.equal(usage.output_tokens_details.reasoning_tokens, row.usage.reasoning_tokens)
  const { estimated_cost: cost } = usage as unknown as { estimated_cost: number }
  assert.equal(parseDollars(cost.toFixed(9)), row.charge)
}

const requestOf = (response: { readonly id: string }) => response.id.replace('resp_', 'req_')

const TOOLS = [
  { type: 'function', name: 'weather', parameters: { type: 'object' }, strict: false },
  {
    ...{ type: 'namespace', name: 'files', description: 'Files.' },
    tools: [{ type: 'function', name: 'read', parameters: { type: 'object' } }],
  },
  { type: 'custom', name: 'patch', description: 'Patches.' },
  { type: 'web_search' },
] as ResponseCreateParams['tools']

test('a response: reasoning, text, every field, and its money', async () => {
  const { data, response: raw } = await client.responses
    .create({
      model: 'scripted',
      input: 'hello',
      instructions: 'Be kind.',
      max_output_tokens: 50,
      metadata: { a: 'b' },
    })
    .withResponse()
  assert.equal(data.output_text, 'Hello to you.')
  assert.equal(raw.headers.get('x-request-id'), requestOf(data))
  assert.deepEqual(
    data.output.map(({ type }) => type),
    ['reasoning', 'message'],
  )
  const [reasoning] = data.output
  assert.ok(reasoning?.type === 'reasoning')
  assert.deepEqual(reasoning.content, [{ type: 'reasoning_text', text: 'I should greet.' }])
  assert.deepEqual(reasoning.summary, [{ type: 'summary_text', text: 'I should greet.' }])
  assert.equal(reasoning.encrypted_content, undefined)
  const { status, error, incomplete_details, instructions, metadata, store, max_output_tokens, tools } =
    data as typeof data & { store: boolean }
  assert.deepEqual(
    { status, error, incomplete_details, instructions, metadata, store, max_output_tokens, tools },
    {
      ...{ status: 'completed', error: null, incomplete_details: null, instructions: 'Be kind.', metadata: { a: 'b' } },
      ...{ store: true, max_output_tokens: 50, tools: [] },
    },
  )
  assert.ok((data.completed_at ?? 0) >= data.created_at)
  assert.deepEqual(asked(), [
    { role: 'system', content: 'Be kind.' },
    { role: 'user', content: 'hello' },
  ])
  assert.equal(upstream.asked.at(-1)?.max_tokens, 50)
  assert.equal(upstream.asked.at(-1)?.store, undefined)
  await checkMoney(requestOf(data), data.usage)
})

for (const kind of ['hello', 'calls', 'refusal', 'long', 'plain']) {
  test(`a stream says what the whole response says, in the order that the client insists on: ${kind}`, async () => {
    const body = { model: 'scripted', input: kind, tools: TOOLS }
    const whole = await client.responses.create(body)
    const stream = client.responses.stream(body)
    const events: ResponseStreamEvent[] = []
    stream.on('event', event => void events.push(event))
    const last = await stream.finalResponse()
    // Ids and times apart, and what the client adds to a parsed one.
    const left = new Set(['created_at', 'completed_at', 'parsed', 'parsed_arguments', 'output_parsed', '_request_id'])
    const plain = (response: object & { id: string }) =>
      JSON.parse(JSON.stringify(response).replaceAll(response.id.slice('resp_'.length), ''), (name, value) =>
        left.has(name) ? undefined : value,
      )
    assert.deepEqual(plain(last), plain(whole))
    assert.deepEqual(
      events.map(event => event.sequence_number),
      events.map((_, i) => i),
    )
    assert.equal(last.usage?.output_tokens, whole.usage?.output_tokens)
  })
}

test('tools: calls come back as they were declared, and their results go on', async () => {
  const { data: first, response: raw } = await client.responses
    .create({ model: 'scripted', input: 'calls', tools: TOOLS })
    .withResponse()
  assert.equal(raw.headers.get('x-headrace-dropped'), 'tools[3] (web_search)')
  assert.equal(first.output_text, 'I look. ')
  const calls = first.output.slice(2).map(({ id: _, ...item }) => item as object)
  const completed = { status: 'completed' }
  assert.deepEqual(calls, [
    { type: 'function_call', ...completed, call_id: 'call_a', name: 'weather', arguments: '{"city":"Ghent"}' },
    {
      ...{ type: 'function_call', ...completed, call_id: 'call_b', name: 'read', namespace: 'files' },
      arguments: '{"path":"a.txt"}',
    },
    { type: 'custom_tool_call', ...completed, call_id: 'call_c', name: 'patch', input: '*** "x"' },
  ])
  const outputs = [
    { type: 'function_call_output', call_id: 'call_a', output: 'rain' },
    { type: 'function_call_output', call_id: 'call_b', output: [{ type: 'input_text', text: 'text' }] },
    { type: 'custom_tool_call_output', call_id: 'call_c', output: 'done' },
  ] as const
  const second = await client.responses.create({
    ...{ model: 'scripted', previous_response_id: first.id, tools: TOOLS },
    input: [...outputs, { role: 'user', content: 'plain' }] as OpenAI.Responses.ResponseInput,
  })
  assert.equal(second.output_text, 'Just words.')
  const functionCall = (id: string, name: string, text: string) => ({
    ...{ id, type: 'function', function: { name, arguments: text } },
  })
  const turn = [
    {
      ...{ role: 'assistant', content: 'I look. ', reasoning_content: 'I should greet.' },
      tool_calls: [
        functionCall('call_a', 'weather', '{"city":"Ghent"}'),
        functionCall('call_b', 'files__read', '{"path":"a.txt"}'),
        functionCall('call_c', 'patch', '{"input":"*** \\"x\\""}'),
      ],
    },
    { role: 'tool', tool_call_id: 'call_a', content: 'rain' },
    { role: 'tool', tool_call_id: 'call_b', content: 'text' },
    { role: 'tool', tool_call_id: 'call_c', content: 'done' },
  ]
  assert.deepEqual(asked(), [{ role: 'user', content: 'calls' }, ...turn, { role: 'user', content: 'plain' }])
  // The same by references, as clients do that keep ids only.
  await client.responses.create({
    ...{ model: 'scripted', tools: TOOLS },
    input: [
      { role: 'user', content: 'calls' },
      ...first.output.map(({ id }) => ({ type: 'item_reference', id })),
      ...outputs,
      { role: 'user', content: 'plain' },
    ] as OpenAI.Responses.ResponseInput,
  })
  assert.deepEqual(asked(), [{ role: 'user', content: 'calls' }, ...turn, { role: 'user', content: 'plain' }])
})

test('structured output is parsed', async () => {
  const City = z.object({ city: z.string(), size: z.int() })
  const { output_parsed: city } = await client.responses.parse({
    ...{ model: 'scripted', input: 'json', text: { format: zodTextFormat(City, 'city') } },
  })
  assert.deepEqual(city, { city: 'Ghent', size: 3 })
  const format = upstream.asked.at(-1)?.response_format as { type: string; json_schema: { name: string } }
  assert.deepEqual([format.type, format.json_schema.name], ['json_schema', 'city'])
})

test('a conversation goes on from response to response, and all of it is charged', async () => {
  let last = await client.responses.create({ model: 'scripted', input: 'hello: 0', instructions: 'Only for this one.' })
  for (const i of [1, 2])
    last = await client.responses.create({ model: 'scripted', input: `hello: ${i}`, previous_response_id: last.id })
  const answered = { role: 'assistant', content: 'Hello to you.', reasoning_content: 'I should greet.' }
  const said = (i: number) => ({ role: 'user', content: `hello: ${i}` })
  assert.deepEqual(asked(), [said(0), answered, said(1), answered, said(2)])
  await checkMoney(requestOf(last), last.usage)
})

test('what is not kept comes back sealed, and is opened again', async () => {
  const body = { model: 'scripted', store: false, include: ['reasoning.encrypted_content' as const] }
  const first = await client.responses.create({ ...body, input: 'hello' })
  const [reasoning, message] = first.output
  assert.ok(reasoning?.type === 'reasoning' && message !== undefined)
  assert.match(reasoning.encrypted_content ?? '', /^hr1\./)
  const sealed = {
    type: 'reasoning' as const,
    id: reasoning.id,
    summary: [],
    encrypted_content: reasoning.encrypted_content,
  }
  await client.responses.create({
    ...body,
    input: [{ role: 'user', content: 'hello' }, sealed, message, { role: 'user', content: 'plain' }] as never,
  })
  assert.deepEqual(asked()?.[1], { role: 'assistant', content: 'Hello to you.', reasoning_content: 'I should greet.' })
  await assert.rejects(client.responses.retrieve(first.id), NotFoundError)
  await assert.rejects(
    client.responses.create({ model: 'scripted', input: 'x', previous_response_id: first.id }),
    (error: unknown) =>
      error instanceof BadRequestError &&
      error.code === 'previous_response_not_found' &&
      error.param === 'previous_response_id',
  )
})

test('a kept response is read, its input listed, and deleted with its items', async () => {
  const made = await client.responses.create({
    ...{
      model: 'scripted',
      input: [...'abc']
        .map(content => ({ role: 'user' as const, content }))
        .concat([{ role: 'user', content: 'plain' }]),
    },
  })
  const { output_text: _, ...read } = await client.responses.retrieve(made.id)
  const { output_text: __, _request_id: ___, ...whole } = made as typeof made & { _request_id: string }
  assert.deepEqual(JSON.parse(JSON.stringify(read)), JSON.parse(JSON.stringify(whole)))
  const contents: unknown[] = []
  // Pages of two, so that the client's own paging is used.
  for await (const item of client.responses.inputItems.list(made.id, { limit: 2, order: 'asc' }))
    contents.push((item as { content: unknown }).content)
  assert.deepEqual(contents, ['a', 'b', 'c', 'plain'])
  const newest = await client.responses.inputItems.list(made.id, { limit: 1 })
  assert.equal((newest.data[0] as { content?: unknown }).content, 'plain')
  // Told again as a stream.
  const again = await client.responses.stream({ response_id: made.id } as never).finalResponse()
  assert.equal(again.output_text, 'Just words.')
  await client.responses.delete(made.id)
  await assert.rejects(client.responses.retrieve(made.id), NotFoundError)
  await assert.rejects(
    client.responses.create({
      model: 'scripted',
      input: [{ type: 'item_reference', id: made.output[0]?.id as string }],
    }),
    (error: unknown) => error instanceof BadRequestError && error.param === 'input[0].id',
  )
})

test('a conversation is made shorter, and goes on from its summary', async () => {
  const first = await client.responses.create({ model: 'scripted', input: 'hello' })
  const { data: short, response: raw } = await client.responses
    .compact({ model: 'scripted', previous_response_id: first.id, input: [{ role: 'user', content: 'and more' }] })
    .withResponse()
  assert.equal(short.object, 'response.compaction')
  assert.match(String(asked()?.at(-1)?.content), /^Write a summary/)
  assert.deepEqual(
    short.output.map(item => [item.type, (item as { content?: unknown }).content]),
    [
      ['message', 'hello'],
      ['message', 'and more'],
      ['compaction', undefined],
    ],
  )
  await checkMoney(raw.headers.get('x-request-id') ?? '', short.usage)
  await client.responses.create({
    model: 'scripted',
    input: [...short.output, { role: 'user', content: 'plain' }] as OpenAI.Responses.ResponseInput,
  })
  assert.deepEqual(asked()?.slice(2), [
    { role: 'user', content: 'This is a summary of our conversation up to here:\n\nThey said hello.' },
    { role: 'user', content: 'plain' },
  ])
})

test('the input of a response is counted, and costs nothing', async () => {
  const count = (input: string) => client.responses.inputTokens.count({ model: 'counted', input })
  const [short, long] = [await count('a'), await count('river '.repeat(100))]
  assert.ok(short.input_tokens > 0 && long.input_tokens >= short.input_tokens + 99)
  await assert.rejects(client.responses.inputTokens.count({ model: 'scripted', input: 'x' }), BadRequestError)
})

/** Reads a response until it has another status. */
async function poll(id: string, whileStatus: readonly string[]): Promise<Response> {
  for (;;) {
    const response = await client.responses.retrieve(id)
    if (!whileStatus.includes(response.status ?? '')) return response
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

test('in the background: answered at once, polled, and kept as any other', async () => {
  const made = await client.responses.create({ model: 'scripted', input: 'held', background: true })
  assert.deepEqual([made.status, made.output, made.background], ['queued', [], true])
  const running = await poll(made.id, ['queued'])
  assert.equal(running.status, 'in_progress')
  await assert.rejects(
    client.responses.create({ model: 'scripted', input: 'x', previous_response_id: made.id }),
    /still queued/,
  )
  gate('held').resolve()
  const done = await poll(made.id, ['queued', 'in_progress'])
  assert.deepEqual([done.status, done.output_text], ['completed', 'It begins and ends.'])
  await checkMoney(requestOf(made), done.usage)
})

test('in the background: cancelled, charged for what it did, and cancelled again without harm', async () => {
  const made = await client.responses.create({ model: 'scripted', input: 'stays', background: true })
  await poll(made.id, ['queued'])
  const cancelled = await client.responses.cancel(made.id)
  assert.equal(cancelled.status, 'cancelled')
  assert.equal((await client.responses.cancel(made.id)).status, 'cancelled')
  const { row } = await server.control.getUsage(requestOf(made))
  assert.equal(row.ending, 'cancelled')
  const other = await client.responses.create({ model: 'scripted', input: 'plain' })
  await assert.rejects(client.responses.cancel(other.id), BadRequestError)
})

test('in the background and streamed: the client leaves, and comes back for the rest', async () => {
  const stream = await client.responses.create({ model: 'scripted', input: 'streamed', background: true, stream: true })
  const seen: ResponseStreamEvent[] = []
  for await (const event of stream) {
    seen.push(event)
    if (event.type === 'response.output_text.delta') break
  }
  assert.deepEqual(
    seen.slice(0, 3).map(({ type }) => type),
    ['response.created', 'response.queued', 'response.in_progress'],
  )
  const id = (seen[0] as { response: Response }).response.id
  const last = seen.at(-1)?.sequence_number as number
  const rest = await client.responses.retrieve(id, { stream: true, starting_after: last })
  gate('streamed').resolve()
  for await (const event of rest) seen.push(event)
  assert.deepEqual(
    seen.map(event => event.sequence_number),
    seen.map((_, i) => i),
  )
  const end = seen.at(-1)
  assert.ok(end?.type === 'response.completed')
  const done = await client.responses.retrieve(id)
  assert.deepEqual(done.output, end.response.output)
  assert.equal(done.output_text, 'It begins and ends.')
})

test('in the background: what fails says so', async () => {
  const made = await client.responses.create({ model: 'scripted', input: 'breaks', background: true })
  const failed = await poll(made.id, ['queued', 'in_progress'])
  assert.deepEqual([failed.status, failed.error?.code], ['failed', 'server_error'])
  await assert.rejects(
    client.responses.create({ model: 'nowhere', input: 'x', background: true }),
    (error: unknown) => error instanceof NotFoundError && error.code === 'model_not_found',
  )
})

test('an upstream that dies in the middle of a stream is an error, not a short answer', async () => {
  await assert.rejects(
    client.responses.stream({ model: 'scripted', input: 'breaks' }).finalResponse(),
    (error: unknown) => error instanceof APIError && error.code === 'upstream_error',
  )
})

test('what is wrong is named as the client named it', async () => {
  const wrong: [object, string, string][] = [
    [{ input: 'x', conversation: 'conv_1' }, 'unsupported_parameter', 'conversation'],
    [{ input: 'x', temperature: 3 }, 'invalid_value', 'temperature'],
    [{}, 'missing_required_parameter', 'input'],
    [{ input: [{ role: 'user' }] }, 'missing_required_parameter', 'input[0].content'],
    [
      { input: [{ type: 'function_call', name: 'f', arguments: '' }] },
      'missing_required_parameter',
      'input[0].call_id',
    ],
    [{ input: 'x', tools: [{ type: 'function', name: 'not a name' }] }, 'invalid_value', 'tools[0].name'],
    [{ input: 'x', tool_choice: { type: 'function', name: 'f' } }, 'invalid_value', 'tool_choice.name'],
    [{ input: 'x', background: true, store: false }, 'invalid_value', 'background'],
    [
      { input: [{ role: 'user', content: [{ type: 'input_image', file_id: 'f' }] }] },
      'unsupported_parameter',
      'input[0].content[0]',
    ],
  ]
  for (const [fields, code, param] of wrong) {
    await assert.rejects(client.responses.create({ model: 'scripted', ...fields } as never), (error: unknown) => {
      assert.ok(error instanceof BadRequestError, JSON.stringify(fields))
      assert.deepEqual([error.code, error.param], [code, param])
      return true
    })
  }
})

test('stored chat completions are listed, read, changed and deleted', async () => {
  const ask = (content: string, more: object) =>
    client.chat.completions.create({ model: 'scripted', messages: [{ role: 'user', content }], ...more })
  await ask('plain', {})
  const whole = await ask('hello', { store: true, metadata: { kind: 'a' } })
  const stream = client.chat.completions.stream({
    ...{ model: 'scripted', messages: [{ role: 'user', content: 'plain' }], store: true, metadata: { kind: 'b' } },
  })
  const { id: streamedId } = await stream.finalChatCompletion()
  const ids = async (query: object) => (await client.chat.completions.list(query)).data.map(({ id }) => id)
  assert.deepEqual(await ids({}), [whole.id, streamedId])
  assert.deepEqual(await ids({ order: 'desc', limit: 1 }), [streamedId])
  assert.deepEqual(await ids({ metadata: { kind: 'a' } }), [whole.id])
  assert.deepEqual(await ids({ model: 'another' }), [])
  const read = await client.chat.completions.retrieve(streamedId)
  assert.deepEqual(
    [read.choices[0]?.message.content, read.choices[0]?.finish_reason, read.usage?.prompt_tokens],
    ['Just words.', 'stop', SCRIPTED_USAGE.input],
  )
  await client.chat.completions.update(whole.id, { metadata: { kind: 'b' } })
  assert.deepEqual(await ids({ metadata: { kind: 'b' } }), [whole.id, streamedId])
  const messages = await client.chat.completions.messages.list(whole.id)
  assert.deepEqual(
    messages.data.map(({ role, content }) => [role, content]),
    [['user', 'hello']],
  )
  await client.chat.completions.delete(whole.id)
  await assert.rejects(client.chat.completions.retrieve(whole.id), NotFoundError)
})

test('what ran in the background when the server was killed has failed, and kept responses are there', async () => {
  const kept = await client.responses.create({ model: 'scripted', input: 'plain' })
  const made = await client.responses.create({ model: 'scripted', input: 'stays', background: true })
  await server.kill()
  const next = await startServer(home, { upstreams })
  const again = new OpenAI({ apiKey: server.key, baseURL: `${next.url}/v1`, maxRetries: 0 })
  const failed = await again.responses.retrieve(made.id)
  assert.deepEqual([failed.status, failed.error?.code], ['failed', 'server_error'])
  assert.match(failed.error?.message ?? '', /restarted/)
  assert.equal((await again.responses.retrieve(kept.id)).output_text, 'Just words.')
})
