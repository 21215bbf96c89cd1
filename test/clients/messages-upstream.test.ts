import assert from 'node:assert/strict'
import { test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { ledgerRow, type PriceText } from '../support/money.ts'
import { newHome, pullFixture, startServer } from '../support/server.ts'

/**
 * A server whose upstream speaks Anthropic's Messages and nothing else: another server of ours. Clients of both families get from the one
 * in front what the one behind answers, and are charged by the counts that it tells.
 */

const PRICE: PriceText = { input: '1.3', cached: '0.1', output: '2.6' }
const KEY_VARIABLE = 'TEST_UPSTREAM_KEY'

const behindHome = newHome()
for (const model of ['llama', 'deepseek4'] as const) await pullFixture(behindHome, model, PRICE)
const behind = await startServer(behindHome, { engine: { contextTokens: 4096, parallel: 2 } })
process.env[KEY_VARIABLE] = behind.key
const price = { input: PRICE.input, cachedInput: PRICE.cached, output: PRICE.output }
const reasoning = { chat: true, completion: false, tools: true, reasoning: true, jsonSchema: true, logprobs: true }
const front = await startServer(newHome(), {
  upstreams: [
    {
      ...{ id: 'behind', api: 'messages', baseUrl: `${behind.url}/v1`, apiKeyEnv: KEY_VARIABLE, allowPrivate: true },
      models: ['llama', 'deepseek4'].map(name => ({
        model: name,
        name,
        contextTokens: 4096,
        price,
        capabilities: reasoning,
      })),
    },
  ],
})
const openai = new OpenAI({ apiKey: front.key, baseURL: `${front.url}/v1` })
const anthropic = new Anthropic({ apiKey: front.key, baseURL: front.url })

/** Both servers charge the same counts; the one in front counted nothing itself. */
async function checkBoth(requestId: string | null | undefined) {
  const ours = await ledgerRow(front, requestId ?? '', PRICE)
  const newest = (await behind.control.listUsage({ limit: 1 })).data[0]?.request ?? ''
  const theirs = await ledgerRow(behind, newest, PRICE)
  assert.deepEqual(ours.counts, theirs.counts)
  assert.equal(ours.charge, theirs.charge)
  assert.deepEqual([ours.usage.input_source, ours.usage.output_source], ['reported', 'reported'])
  assert.equal(ours.usage.reasoning_tokens, theirs.usage.reasoning_tokens)
  return ours
}

const ask = (content: string) => [{ role: 'user' as const, content }]
const LIGHT = {
  name: 'set_light',
  description: 'Switches the light.',
  parameters: { type: 'object' as const, properties: { on: { type: 'boolean' } }, required: ['on'] },
}

test('a chat is streamed and buffered through Messages', async () => {
  const body = { model: 'llama', messages: ask('Hello'), max_tokens: 20, temperature: 0 } as const
  const { data, request_id, response } = await openai.chat.completions.create({ ...body, seed: 1 }).withResponse()
  assert.deepEqual([data.choices[0]?.finish_reason, data.usage?.completion_tokens], ['length', 20])
  assert.equal(response.headers.get('x-headrace-dropped'), 'seed')
  await checkBoth(request_id)
  const { data: stream, request_id: streamId } = await openai.chat.completions
    .create({ ...body, stream: true })
    .withResponse()
  let text = ''
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
  assert.equal(text, data.choices[0]?.message.content)
  await checkBoth(streamId)
})

test('a chat calls a tool and is answered through Messages', async () => {
  const body = {
    ...{ model: 'llama', max_tokens: 300, parallel_tool_calls: false },
    tools: [{ type: 'function' as const, function: LIGHT }],
  }
  const { data, request_id } = await openai.chat.completions
    .create({ ...body, messages: ask('Light!'), tool_choice: { type: 'function', function: { name: 'set_light' } } })
    .withResponse()
  const message = data.choices[0]?.message
  assert.equal(data.choices[0]?.finish_reason, 'tool_calls')
  const call = message?.tool_calls?.[0]
  assert.ok(message && call?.type === 'function' && call.function.name === 'set_light')
  assert.equal(typeof JSON.parse(call.function.arguments).on, 'boolean')
  await checkBoth(request_id)
  const next = await openai.chat.completions
    .create({
      ...{ ...body, max_tokens: 8, tool_choice: 'none' },
      messages: [...ask('Light!'), message, { role: 'tool', tool_call_id: call.id, content: 'It is on.' }],
    })
    .withResponse()
  assert.equal(next.data.choices[0]?.message.tool_calls, undefined)
  await checkBoth(next.request_id)
})

test('thinking keeps its signature on the way there and back', async () => {
  const body = { model: 'deepseek4', max_tokens: 40, temperature: 0 }
  const { data, request_id } = await anthropic.messages
    .create({ ...body, messages: ask('Hello'), thinking: { type: 'adaptive' } })
    .withResponse()
  const [thought] = data.content
  assert.ok(thought?.type === 'thinking' && thought.thinking !== '')
  // The signature of the one behind, not one of the one in front.
  const newest = (await behind.control.listUsage({ limit: 1 })).data[0]?.request ?? ''
  assert.equal(thought.signature, `hr1.msg_${newest.slice(4)}`)
  assert.ok((await checkBoth(request_id)).usage.reasoning_tokens > 0)
  const chat = await openai.chat.completions.create({ ...body, messages: ask('Hello') }).withResponse()
  const message = chat.data.choices[0]?.message as { reasoning_content?: string; reasoning_details?: object[] }
  assert.equal(message.reasoning_content, thought.thinking)
  assert.equal(message.reasoning_details?.length, 1)
  await checkBoth(chat.request_id)
})

test('a stop sequence that was met is told through', async () => {
  const body = { model: 'llama', messages: ask('Hello'), max_tokens: 30, temperature: 0 }
  const [whole] = (await anthropic.messages.create(body)).content
  assert.ok(whole?.type === 'text')
  const stop = whole.text.slice(40, 46)
  const { data, request_id } = await anthropic.messages.create({ ...body, stop_sequences: [stop] }).withResponse()
  assert.deepEqual([data.stop_reason, data.stop_sequence], ['stop_sequence', stop])
  await checkBoth(request_id)
})

test('what that API cannot say is refused with its name, before anything is sent', async () => {
  const body = { model: 'llama', messages: ask('Hello'), max_tokens: 5 }
  const newest = async () => (await behind.control.listUsage({ limit: 1 })).data[0]?.request
  const before = await newest()
  for (const [fields, word] of [
    [{ n: 2 }, /several choices/],
    [{ logprobs: true }, /log probabilities/],
  ] as const)
    await assert.rejects(openai.chat.completions.create({ ...body, ...fields }), (error: unknown) => {
      assert.ok(error instanceof OpenAI.BadRequestError)
      assert.match(error.message, word)
      return true
    })
  assert.equal(await newest(), before)
  await assert.rejects(
    anthropic.messages.create({ ...body, messages: ask('word '.repeat(5000)) }),
    (error: unknown) => {
      assert.ok(error instanceof Anthropic.BadRequestError, String(error))
      assert.match(JSON.stringify(error.error), /context_length_exceeded/)
      return true
    },
  )
})

test('the books of both balance', async () => {
  for (const server of [front, behind]) {
    const { ok, problems } = await server.control.verifyLedger()
    assert.ok(ok, problems.join('\n'))
    await server.stop()
  }
})
