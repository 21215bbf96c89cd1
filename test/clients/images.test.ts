import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import OpenAI from 'openai'
import { startPlainUpstream } from '../support/plain-upstream.ts'
import { newHome, startServer } from '../support/server.ts'

/** Images in chats with the real server: it fetches them itself, so that what an upstream gets needs no network. */

const PNG = Buffer.from('89504e470d0a1a0a00', 'hex')
const upstream = await startPlainUpstream(() => response => {
  const frame = (fields: object) =>
    response.write(
      `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', ...fields })}\n\n`,
    )
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  frame({ choices: [{ index: 0, delta: { role: 'assistant', content: 'A pixel.' }, finish_reason: null }] })
  frame({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })
  frame({ choices: [], usage: { prompt_tokens: 900, completion_tokens: 3, total_tokens: 903 } })
  response.end('data: [DONE]\n\n')
})
const asked: string[] = []
const images = createServer((request, response) => {
  asked.push(request.url ?? '')
  if (request.url === '/moved') response.writeHead(302, { location: '/a.png' })
  else response.writeHead(200, { 'content-type': 'image/png' })
  response.end(PNG)
})
images.listen(0, '127.0.0.1')
await once(images, 'listening')
after(() => images.close())
const origin = `http://127.0.0.1:${(images.address() as AddressInfo).port}`

const model = (id: string, vision: boolean) => ({
  model: id,
  name: id,
  contextTokens: 32_768,
  capabilities: { vision },
  price: { input: '1', cachedInput: '1', output: '1' },
})
const upstreams = [
  {
    id: 'plain',
    baseUrl: `${upstream.origin}/v1`,
    allowPrivate: true,
    models: [model('sees', true), model('blind', false)],
  },
]
const open = await startServer(newHome(), { upstreams, egress: { allowPrivate: true, ports: 'all' } })
const closed = await startServer(newHome(), { upstreams, egress: { ports: 'all' } })

function ask(server: typeof open, id: string, url: string) {
  const client = new OpenAI({ apiKey: server.key, baseURL: `${server.url}/v1`, maxRetries: 0 })
  return client.chat.completions.create({
    model: id,
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'What is it?' },
          { type: 'image_url', image_url: { url } },
        ],
      },
    ],
  })
}

test('an upstream gets the image itself', async () => {
  for (const url of [`${origin}/a.png`, `${origin}/moved`, `data:image/png;base64,${PNG.toString('base64')}`]) {
    const { choices, usage } = await ask(open, 'sees', url)
    assert.equal(choices[0]?.message.content, 'A pixel.')
    assert.equal(usage?.prompt_tokens, 900)
    assert.deepEqual(upstream.requests.at(-1)?.body.messages[0].content[1], {
      type: 'image_url',
      image_url: { url: `data:image/png;base64,${PNG.toString('base64')}` },
    })
  }
})

test('nothing inside is fetched, and nothing is asked of the upstream then', async () => {
  const [before, upstreamBefore] = [asked.length, upstream.requests.length]
  await assert.rejects(ask(closed, 'sees', `${origin}/a.png`), {
    status: 400,
    param: 'messages[0].content[1].image_url.url',
    message: /127\.0\.0\.1 is not a public address/,
  })
  await assert.rejects(ask(closed, 'sees', 'http://localhost:9/a.png'), {
    status: 400,
    message: /localhost is not a public/,
  })
  assert.deepEqual([asked.length, upstream.requests.length], [before, upstreamBefore])
  assert.deepEqual((await closed.control.listUsage({ limit: 1 })).data, [], 'and nothing is charged')
})

test('a model that sees nothing says so, and fetches nothing', async () => {
  const before = asked.length
  await assert.rejects(ask(open, 'blind', `${origin}/a.png`), {
    status: 400,
    param: 'messages',
    message: /blind does not offer images/,
  })
  assert.equal(asked.length, before)
})

test('who cannot pay for the answer does not fetch through us', async () => {
  const poor = await startServer(newHome(), {
    upstreams,
    egress: { allowPrivate: true, ports: 'all' },
    money: { startingCredit: '0' },
  })
  const before = asked.length
  await assert.rejects(ask(poor, 'sees', `${origin}/a.png`), { status: 402 })
  assert.equal(asked.length, before)
})
