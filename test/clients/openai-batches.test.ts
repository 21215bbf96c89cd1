import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import OpenAI, { toFile } from 'openai'
import { parseDollars, parsePricePerMillion } from '../../src/ledger/money.ts'
import { bounded, newHome, pullFixture, startServer } from '../support/server.ts'

/** Files and batches through the official client, as it is installed, against the real server with a real engine. */

/** Dollars per million tokens; batches pay two thirds, which no decimal is. */
const PRICE = { input: '1.3005', cached: '0.1005', output: '2.6' }
const MODEL = 'llama'
const CHAT = '/v1/chat/completions'

const home = newHome()
await pullFixture(home, MODEL, PRICE)
const server = await startServer(home, {
  engine: { contextTokens: 4096, parallel: 2, promptCacheBytesMax: 64 * 2 ** 20 },
  files: { bytesMax: 1_000_000, totalBytesMaxPerOrg: 3_000_000 },
})
await server.control.setPrice(MODEL, {
  ...{ input: PRICE.input, cached_input: PRICE.cached, output: PRICE.output, tiers: { batch: '2/3' } },
})
const client = new OpenAI({ apiKey: server.key, baseURL: `${server.url}/v1`, maxRetries: 0 })

/** Requests as lines of a file, named `line 0`, `line 1` and so on. */
function linesOf(bodies: readonly object[], url: string): string {
  return bodies
    .map((body, i) => JSON.stringify({ custom_id: `line ${i}`, method: 'POST', url, body: { model: MODEL, ...body } }))
    .join('\n')
}

const upload = (content: string | Buffer) =>
  toFile(Buffer.from(content), 'in.jsonl').then(file => client.files.create({ file, purpose: 'batch' }))

async function run(bodies: readonly object[], endpoint: OpenAI.BatchCreateParams['endpoint'] = CHAT) {
  const input = await upload(linesOf(bodies, endpoint))
  const { id } = await client.batches.create({ input_file_id: input.id, endpoint, completion_window: '24h' })
  return bounded(ended(id), `the batch ${id}`)
}

async function ended(id: string): Promise<OpenAI.Batch> {
  for (;;) {
    const batch = await client.batches.retrieve(id)
    if (['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) return batch
    await sleep(20)
  }
}

/** What the tests look at of an answer or an error body. */
interface Answer {
  readonly object: string
  readonly usage: {
    readonly prompt_tokens: number
    readonly completion_tokens: number
    readonly estimated_cost: number
  }
  readonly error: { readonly param: string | null }
}

interface Result {
  readonly id: string
  readonly custom_id: string
  readonly response: { readonly status_code: number; readonly request_id: string; readonly body: Answer } | null
  readonly error: { readonly code: string } | null
}

/** The results in a file, in the order of their lines. */
async function resultsIn(fileId: string | undefined): Promise<Result[]> {
  const text = await (await client.files.content(fileId ?? '')).text()
  const results: Result[] = text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  return results.sort((a, b) => (a.custom_id < b.custom_id ? -1 : 1))
}

/** Two thirds of price × counts in nanodollars, rounded once, half to even: worked out here anew. */
function batchWorth(input: number, cached: number, output: number): bigint {
  const sixths =
    2n *
    (BigInt(input - cached) * parsePricePerMillion(PRICE.input) +
      BigInt(cached) * parsePricePerMillion(PRICE.cached) +
      BigInt(output) * parsePricePerMillion(PRICE.output))
  const [whole, rest] = [sixths / 3000n, sixths % 3000n]
  return rest > 1500n || (rest === 1500n && whole % 2n === 1n) ? whole + 1n : whole
}

test('a batch of chats comes back line for line, at two thirds of the price', async () => {
  const before = parseDollars((await balance()).balance)
  const bodies = Array.from({ length: 7 }, (_, i) => ({
    messages: [{ role: 'user', content: `Tell number ${i}` }],
    max_tokens: 5 + i,
    seed: i,
  }))
  const wrong = { messages: [{ role: 'user', content: 'hot' }], temperature: 99 }
  const batch = await run([...bodies, wrong])
  assert.equal(batch.status, 'completed')
  assert.deepEqual(batch.request_counts, { total: 8, completed: 7, failed: 1 })
  assert.equal(batch.model, MODEL)
  assert.equal((batch as { waiting?: unknown }).waiting, undefined)
  for (const at of [batch.created_at, batch.in_progress_at, batch.finalizing_at, batch.completed_at])
    assert.ok(typeof at === 'number' && at * 1000 <= Date.now() && at > 1.7e9)
  assert.equal(batch.expires_at, batch.created_at + 86_400)

  const results = await resultsIn(batch.output_file_id)
  assert.deepEqual(
    results.map(({ custom_id, response, error }) => [custom_id, response?.status_code, error]),
    bodies.map((_, i) => [`line ${i}`, 200, null]),
  )
  let charged = 0n
  const sum = { input: 0, cached: 0, output: 0 }
  for (const [i, { response }] of results.entries()) {
    const { body, request_id } = response ?? assert.fail('it was answered')
    assert.equal(body.object, 'chat.completion')
    assert.equal(body.usage.completion_tokens, 5 + i)
    const { row } = await server.control.getUsage(request_id)
    assert.equal(row.ending, 'completed')
    const { input_tokens, cached_input_tokens, output_tokens } = row.usage
    const charge = parseDollars(row.charge)
    assert.equal(charge, batchWorth(input_tokens, cached_input_tokens, output_tokens))
    assert.equal(parseDollars(body.usage.estimated_cost.toFixed(9)), charge)
    assert.equal(body.usage.prompt_tokens, input_tokens)
    charged += charge
    sum.input += input_tokens
    sum.cached += cached_input_tokens
    sum.output += output_tokens
  }
  assert.ok(charged > 0n)
  assert.equal(parseDollars((await balance()).balance), before - charged)
  assert.deepEqual(batch.usage, {
    ...{ input_tokens: sum.input, input_tokens_details: { cached_tokens: sum.cached } },
    ...{ output_tokens: sum.output, output_tokens_details: { reasoning_tokens: 0 } },
    total_tokens: sum.input + sum.output,
  })

  const [failed, ...others] = await resultsIn(batch.error_file_id)
  assert.deepEqual([failed?.custom_id, failed?.response?.status_code, others], ['line 7', 400, []])
  assert.equal(failed?.response?.body.error.param, 'temperature')
  const output = await client.files.retrieve(batch.output_file_id ?? '')
  assert.deepEqual([output.purpose, output.filename], ['batch_output', `${batch.id}_output.jsonl`])
})

async function balance() {
  const orgId = (await server.control.listOrgs()).data[0]?.id ?? ''
  return server.control.getCredit(orgId)
}

test('a batch of plain completions, handed in by another base, with its own terms', async () => {
  const input = await upload(linesOf([{ prompt: 'Once', max_tokens: 4 }], '/v1/openai/completions'))
  const created = await new OpenAI({ apiKey: server.key, baseURL: `${server.url}/v1/openai` }).batches.create({
    ...{ input_file_id: input.id, endpoint: '/v1/completions', completion_window: '24h' },
    metadata: { job: 'nightly' },
    output_expires_after: { anchor: 'created_at', seconds: 3600 },
  })
  assert.deepEqual([created.object, created.status, created.input_file_id], ['batch', 'validating', input.id])
  const batch = await bounded(ended(created.id), 'the batch')
  assert.deepEqual(batch.metadata, { job: 'nightly' })
  const [result] = await resultsIn(batch.output_file_id)
  assert.equal(result?.response?.body.object, 'text_completion')
  const file = await client.files.retrieve(batch.output_file_id ?? '')
  assert.equal(file.expires_at, file.created_at + 3600)
  assert.ok(
    (await client.files.retrieve(input.id)).expires_at === input.created_at + 30 * 86_400,
    'as the operator says',
  )
})

test('a batch of responses, which are kept as others are', async () => {
  const batch = await run([{ input: 'Hello', max_output_tokens: 20 }], '/v1/responses')
  assert.equal(batch.status, 'completed')
  const [result] = await resultsIn(batch.output_file_id)
  const { body } = result?.response ?? assert.fail('it was answered')
  const { id, object, output } = body as unknown as OpenAI.Responses.Response
  assert.equal(object, 'response')
  assert.deepEqual((await client.responses.retrieve(id)).output, output)
  const { row } = await server.control.getUsage(result?.response?.request_id ?? '')
  assert.equal(batch.usage?.output_tokens, row.usage.output_tokens)
  assert.equal(batch.usage?.input_tokens, row.usage.input_tokens)
  assert.equal(row.service_tier, 'batch')
})

test('a batch of messages, with errors as their clients read them', async () => {
  const messages = [{ role: 'user', content: 'Hello' }]
  const endpoint = '/v1/messages' as '/v1/responses'
  const batch = await run(
    [
      { messages, max_tokens: 6 },
      { messages, max_tokens: 'many' },
    ],
    endpoint,
  )
  assert.deepEqual(batch.request_counts, { total: 2, completed: 1, failed: 1 })
  const [good] = await resultsIn(batch.output_file_id)
  const message = good?.response?.body as unknown as { type: string; usage: { output_tokens: number } }
  assert.deepEqual([message.type, message.usage.output_tokens], ['message', batch.usage?.output_tokens])
  const { row } = await server.control.getUsage(good?.response?.request_id ?? '')
  assert.deepEqual([row.usage.input_tokens, row.usage.output_tokens], [batch.usage?.input_tokens, 6])
  const [bad] = await resultsIn(batch.error_file_id)
  const { body, status_code } = bad?.response ?? assert.fail('it was answered')
  const { type, error } = body as unknown as { type: string; error: { type: string } }
  assert.deepEqual([status_code, type, error.type], [400, 'error', 'invalid_request_error'])
})

test('an input that is not in order is refused line by line', async () => {
  const input = await upload('{"custom_id":"a"}\n\nnothing\n')
  const order = { input_file_id: input.id, endpoint: CHAT, completion_window: '24h' } as const
  const batch = await bounded(ended((await client.batches.create(order)).id), 'the check')
  assert.equal(batch.status, 'failed')
  assert.deepEqual(
    batch.errors?.data?.map(({ line, code }) => [line, code]),
    [
      [1, 'invalid_method'],
      [3, 'invalid_json_line'],
    ],
  )
})

test('batches are listed page by page, and cancelled while there is time', async () => {
  const mine = await Promise.all(
    [0, 1, 2].map(() => run([{ messages: [{ role: 'user', content: 'x' }], max_tokens: 1 }])),
  )
  const listed = []
  for await (const batch of client.batches.list({ limit: 2 })) listed.push(batch.id)
  assert.equal(new Set(listed).size, listed.length)
  assert.deepEqual(new Set(listed.slice(0, 3)), new Set(mine.map(batch => batch.id)), 'the newest come first')
  const page = await client.batches.list({ limit: 2 })
  assert.deepEqual([page.data.length, page.has_more], [2, true])
  await assert.rejects(client.batches.cancel(mine[0]?.id ?? ''), { status: 409, code: 'conflict' })
  await assert.rejects(client.batches.retrieve('batch_none'), { status: 404, code: 'batch_not_found' })

  const long = Array.from({ length: 200 }, () => ({ messages: [{ role: 'user', content: 'long' }], max_tokens: 200 }))
  const input = await upload(linesOf(long, CHAT))
  const order = { input_file_id: input.id, endpoint: CHAT, completion_window: '24h' } as const
  const { id } = await client.batches.create(order)
  const cancelling = await client.batches.cancel(id)
  assert.equal(cancelling.status, 'cancelling')
  const over = await bounded(ended(id), 'the cancelled batch')
  assert.equal(over.status, 'cancelled')
  assert.ok((over.request_counts?.completed ?? 200) < 200)
})

test('what is handed in wrongly is refused at once, by name', async () => {
  const input = await upload('{}')
  const order = { input_file_id: input.id, endpoint: CHAT, completion_window: '24h' } as const
  const refused = (changes: object, status: number, code: string, param: string) =>
    assert.rejects(client.batches.create({ ...order, ...changes }), { status, code, param })
  await refused({ endpoint: '/v1/images/edits' }, 400, 'invalid_value', 'endpoint')
  await refused({ completion_window: '1h' }, 400, 'invalid_value', 'completion_window')
  await refused({ input_file_id: undefined }, 400, 'missing_required_parameter', 'input_file_id')
  await refused({ input_file_id: 'file-none' }, 404, 'file_not_found', 'input_file_id')
  await refused({ metadata: { a: 1 } }, 400, 'invalid_value', 'metadata.a')
  await refused(
    { output_expires_after: { anchor: 'created_at', seconds: 1 } },
    400,
    'invalid_value',
    'output_expires_after.seconds',
  )
})

test('files are kept byte for byte, listed page by page, and deleted', async () => {
  const bytes = Buffer.from(Uint8Array.from({ length: 700_001 }, (_, i) => (i * 7) % 256))
  const created = await client.files.create({
    ...{ file: await toFile(bytes, 'ä “1”.bin'), purpose: 'user_data' },
    expires_after: { anchor: 'created_at', seconds: 7200 },
  })
  assert.deepEqual(
    [created.object, created.bytes, created.filename, created.purpose, created.expires_at],
    ['file', 700_001, 'ä “1”.bin', 'user_data', created.created_at + 7200],
  )
  assert.deepEqual(await client.files.retrieve(created.id), created)
  const content = await client.files.content(created.id)
  assert.ok(Buffer.from(await content.arrayBuffer()).equals(bytes))
  assert.equal(content.headers.get('content-length'), '700001')
  assert.match(content.headers.get('content-disposition') ?? '', /^attachment; filename\*=UTF-8''%C3%A4/)

  const mine = [created.id]
  for (let i = 0; i < 4; i++)
    mine.push((await client.files.create({ file: await toFile(Buffer.from([]), `${i}`), purpose: 'user_data' })).id)
  const listed = await Array.fromAsync(
    client.files.list({ purpose: 'user_data', limit: 2, order: 'asc' }),
    file => file.id,
  )
  assert.deepEqual(listed, mine)
  const newest = await client.files.list({ limit: 1 })
  assert.deepEqual([newest.data[0]?.id, newest.has_more], [mine.at(-1), true])
  assert.equal((await (await client.files.content(mine.at(-1) ?? '')).arrayBuffer()).byteLength, 0)
  for (const id of mine) assert.deepEqual(await client.files.delete(id), { id, object: 'file', deleted: true })
  for (const call of [
    client.files.retrieve(created.id),
    client.files.content(created.id),
    client.files.delete(created.id),
  ])
    await assert.rejects(call, { status: 404, code: 'file_not_found' })
  await assert.rejects(
    client.files.list({ after: created.id }).then(page => page.data),
    { status: 400, param: 'after' },
  )
})

test('a file that is too large is refused, before and while it comes', async () => {
  const large = { file: await toFile(Buffer.alloc(1_000_001), 'large'), purpose: 'batch' } as const
  await assert.rejects(client.files.create(large), { status: 413, code: 'file_too_large' })
  const huge = { file: await toFile(Buffer.alloc(3_000_000), 'huge'), purpose: 'batch' } as const
  await assert.rejects(client.files.create(huge), { status: 413, code: 'file_too_large' })
  const answer = await fetch(`${server.url}/v1/files`, {
    ...{ method: 'POST', duplex: 'half', body: chunked(3_000_000) },
    headers: { authorization: `Bearer ${server.key}`, 'content-type': 'multipart/form-data; boundary=b' },
  } as RequestInit)
  const { error } = (await answer.json()) as { error: { code: string } }
  assert.deepEqual([answer.status, error.code], [413, 'file_too_large'])
  const small = (i: number) => upload(Buffer.alloc(900_000, String(i)))
  const files = [await small(0), await small(1)]
  await assert.rejects(Promise.all([small(2), small(3)]), { status: 413, code: 'file_storage_full' })
  for (const file of files) await client.files.delete(file.id)
})

/** A form whose length nobody announces. */
function chunked(bytes: number): ReadableStream<Uint8Array> {
  let left = bytes
  const head = '--b\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n'
  return new ReadableStream({
    start: controller => controller.enqueue(Buffer.from(head)),
    pull(controller) {
      if (left <= 0) controller.close()
      else controller.enqueue(Buffer.alloc(Math.min(left, 50_000)))
      left -= 50_000
    },
  })
}

test('a form that is none, or lacks something, is told what', async () => {
  const post = async (body: string | FormData, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${server.url}/v1/files`, {
      ...{ method: 'POST', body, headers: { authorization: `Bearer ${server.key}`, ...headers } },
    })
    const { error } = (await answer.json()) as { error: { code: string; param: string | null } }
    return [answer.status, error.code, error.param]
  }
  const form = (fields: Record<string, string | Blob>) => {
    const data = new FormData()
    for (const [name, value] of Object.entries(fields)) data.append(name, value)
    return data
  }
  const file = new Blob(['x'])
  assert.deepEqual(await post('{}', { 'content-type': 'application/json' }), [415, 'unsupported_media_type', null])
  assert.deepEqual(await post(form({ purpose: 'batch' })), [400, 'missing_required_parameter', 'file'])
  assert.deepEqual(await post(form({ file })), [400, 'missing_required_parameter', 'purpose'])
  assert.deepEqual(await post(form({ file, purpose: 'fun' })), [400, 'invalid_value', 'purpose'])
  assert.deepEqual(await post(form({ other: file, purpose: 'batch' })), [400, 'invalid_value', 'file'])
  const expires = { 'expires_after[anchor]': 'created_at', 'expires_after[seconds]': '5' }
  assert.deepEqual(await post(form({ file, purpose: 'batch', ...expires })), [400, 'invalid_value', 'expires_after'])
  const cut = '--b\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\nnever ends'
  const asForm = { 'content-type': 'multipart/form-data; boundary=b' }
  assert.deepEqual(await post(cut, asForm), [400, 'invalid_value', null])
  const { data } = await client.files.list({ purpose: 'fun' })
  assert.deepEqual(data, [])
})
