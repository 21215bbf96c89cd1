import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import type { JsonObject } from '../../src/inference/request.ts'
import { startPlainUpstream } from '../support/plain-upstream.ts'
import { newHome, startServer } from '../support/server.ts'
import type { Form } from './round-trip/canonical.ts'
import { travel } from './round-trip/chain.ts'
import { sessions } from './round-trip/sessions.ts'

/** The conversations over HTTP, to upstreams that speak chat and to those that speak Messages: what they are asked, and what a client is told. */

const PATHS: Readonly<Record<Form, string>> = {
  chat: '/v1/chat/completions',
  responses: '/v1/responses',
  messages: '/v1/messages',
}
const OUTPUT_TOKENS_MAX = 4096

const upstream = await startPlainUpstream(({ path }) => (path.endsWith('/messages') ? sayInMessages : sayInChat))
const price = { input: '1', cachedInput: '0.1', output: '2' }
const model = (id: string) => ({
  ...{ model: id, name: id, contextTokens: 262_144, outputTokensMax: OUTPUT_TOKENS_MAX, price },
  capabilities: { chat: true, tools: true, reasoning: true, jsonSchema: true, vision: true },
})
const server = await startServer(newHome(), {
  upstreams: [
    { id: 'chat', baseUrl: `${upstream.origin}/v1`, allowPrivate: true, models: [model('acme/chat')] },
    {
      id: 'messages',
      api: 'messages',
      baseUrl: `${upstream.origin}/v1`,
      allowPrivate: true,
      models: [model('acme/messages')],
    },
  ],
})

function sayInChat(response: ServerResponse): void {
  const frame = (fields: object) =>
    `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', created: 1, model: 'm', ...fields })}\n\n`
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write(frame({ choices: [{ index: 0, delta: { role: 'assistant', content: 'Yes.' }, finish_reason: null }] }))
  response.write(frame({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }))
  response.write(frame({ choices: [], usage: { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11 } }))
  response.end('data: [DONE]\n\n')
}

function sayInMessages(response: ServerResponse): void {
  const usage = { input_tokens: 9, output_tokens: 2 }
  const message = { id: 'msg_x', type: 'message', role: 'assistant', model: 'm', content: [], stop_reason: null, usage }
  const events = [
    { type: 'message_start', message },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Yes.' } },
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage },
    { type: 'message_stop' },
  ]
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.end(events.map(event => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(''))
}

for (const [name, { from, request }] of sessions)
  for (const to of ['chat', 'messages'] as const)
    test(`${name} reaches an upstream that speaks ${to}`, async () => {
      const response = await fetch(server.url + PATHS[from], {
        method: 'POST',
        headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ ...request, model: `acme/${to}` }),
      })
      const text = await response.text()
      assert.equal(response.status, 200, text)
      assert.match(text, /Yes\./)
      const { body, losses } = travel(wayOf(from, to), withoutStore(request))
      const told = losses.map(loss => loss.replace(/^.*? → .*?: /, ''))
      assert.equal(response.headers.get('x-headrace-dropped') ?? '', told.join(', '))
      const asked = upstream.requests.at(-1)?.body as JsonObject
      const messages = JSON.parse(JSON.stringify(body.messages))
      assert.deepEqual(asked.messages, from === 'chat' ? messages : messages.map(withoutOrder))
      assert.deepEqual(asked.tools, JSON.parse(JSON.stringify(body.tools)))
    })

function wayOf(from: Form, to: 'chat' | 'messages'): Form[] {
  if (to === 'chat') return from === 'chat' ? ['chat'] : [from, 'chat']
  return from === 'chat' ? ['chat', 'messages'] : [from, 'chat', 'messages']
}

/** The order of a turn's blocks is for translations back; a chat upstream is not told of it. */
function withoutOrder({ block_order: _, ...message }: JsonObject): JsonObject {
  return message
}

/** The server keeps responses itself, and says nothing of that to an upstream. */
function withoutStore(request: JsonObject): JsonObject {
  return 'input' in request ? { ...request, store: false } : request
}

test('a header that has no room for all names says how many are left out', async () => {
  const messages = Array.from({ length: 200 }, () => ({ role: 'user', content: 'Hi', name: 'a' }))
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'acme/messages', messages }),
  })
  await response.arrayBuffer()
  const names = response.headers.get('x-headrace-dropped')?.split(', ') ?? []
  const more = Number(/^and (\d+) more$/.exec(names.pop() ?? '')?.[1])
  assert.deepEqual(
    names,
    names.map((_, i) => `messages[${i}].name`),
  )
  assert.equal(names.length + more, 200)
})
