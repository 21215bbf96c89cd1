import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { headrace, newHome, type ServerProcess, startServer } from '../support/server.ts'

/*
 * Prices that depend on the request, from the client's body to the charge that the client is told, through a whole server: 1,000
 * input tokens and 10 output tokens, at $1 per million each.
 */

const ANSWER_TOKENS = { prompt_tokens: 1_000, completion_tokens: 10, total_tokens: 1_010 }
/** `service_tier` of the next answers. */
let serves: string | undefined

const upstream = createServer((request, response) => {
  request.resume().on('end', () => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const frame = (fields: object) =>
      `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', service_tier: serves, ...fields })}\n\n`
    const delta = { role: 'assistant', content: 'hi' }
    response.write(frame({ choices: [{ index: 0, delta, finish_reason: null }] }))
    response.write(frame({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }))
    response.end(`${frame({ choices: [], usage: { ...ANSWER_TOKENS, cost: 0.0001 } })}data: [DONE]\n\n`)
  })
})
upstream.listen(0, '127.0.0.1')
await once(upstream, 'listening')
after(() => {
  upstream.closeAllConnections()
  upstream.close()
})
const baseUrl = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/v1`

function config(outputCost: string) {
  const every = { start: '00:00', end: '00:00' }
  const model = (id: string, price: object) => ({
    model: id,
    name: id,
    contextTokens: 8192,
    price,
    cost: { input: '0.5', output: outputCost },
  })
  const plain = { input: '1', output: '1' }
  return {
    upstreams: [
      {
        id: 'outside',
        baseUrl,
        allowPrivate: true,
        models: [
          model('tiered', { ...plain, tiers: { priority: '2', flex: '0.5' } }),
          model('stepped', { ...plain, steps: [{ fromInputTokens: 1_000, input: '3', output: '5' }] }),
          model('open', { ...plain, windows: [{ ...every, multiplier: '1/3' }] }),
        ],
      },
    ],
    log: { level: 'error' },
  }
}

async function ask(server: ServerProcess, key: string, body: object) {
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'hi '.repeat(2_000) }], max_tokens: 20, ...body }),
  })
  // biome-ignore lint/suspicious/noExplicitAny: the answer's own document
  return { status: response.status, answer: (await response.json()) as any }
}

test('tiers, steps, windows, groups and margins, through a whole server', async () => {
  const home = newHome()
  let server = await startServer(home, config('0.5'))
  const { key } = server
  let told: string | undefined
  const cost = async (model: string, more: object = {}) => {
    const { status, answer } = await ask(server, key, { model, ...more })
    assert.equal(status, 200, JSON.stringify(answer))
    told = answer.service_tier
    return answer.usage.estimated_cost
  }
  try {
    serves = undefined
    assert.equal(await cost('tiered'), 0.00101)
    assert.equal(told, undefined)
    assert.equal(await cost('tiered', { service_tier: 'priority' }), 0.00202)
    assert.equal(await cost('tiered', { service_tier: 'flex' }), 0.000505)
    assert.equal(told, 'flex')
    serves = 'default'
    assert.equal(await cost('tiered', { service_tier: 'priority' }), 0.00101, 'it was not served at priority')
    assert.equal(told, 'default')
    serves = 'priority'
    assert.equal(await cost('tiered', { service_tier: 'auto' }), 0.00101, 'nobody asked for priority')
    assert.equal(await cost('open', { service_tier: 'flex' }), 0.000336667, 'what is not sold is served as standard')
    assert.equal(told, 'default')
    assert.equal(await cost('stepped'), 0.00305)
    assert.equal(await cost('open'), 0.000336667, 'a third of 1,010 p$, half to even')

    await headrace(home, 'models', 'price', 'tiered', '--over-cost', 'outside=3', '--group', 'partners')
    assert.equal(await cost('tiered'), 0.00101, 'the org is in no group')
    await headrace(home, 'prices', 'group', 'default', 'partners')
    assert.equal(await cost('tiered'), 0.001515, 'three times the cost')
  } finally {
    await server.stop()
  }
  server = await startServer(home, config('50.5'))
  try {
    assert.equal(await cost('tiered'), 0.003015, 'three times the cost after it has changed')
  } finally {
    await server.stop()
  }
})
