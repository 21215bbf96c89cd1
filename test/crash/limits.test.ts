import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newHome, type ServerProcess, startServer } from '../support/server.ts'
import { paced, startUpstream, upstreamConfig } from '../support/upstream.ts'

const { baseUrl } = await startUpstream(paced)
const home = newHome()

async function start(): Promise<ServerProcess> {
  return await startServer(home, {
    upstreams: upstreamConfig(baseUrl, { input: '1.00', cachedInput: '0.10', output: '2.00' }),
    log: { level: 'error' },
  })
}

async function ask(server: ServerProcess, key: string, fields: object = {}): Promise<Response> {
  const model = (await server.control.listModels()).data[0]?.id
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, max_tokens: 3, messages: [{ role: 'user', content: 'Hello' }], ...fields }),
  })
  await response.clone().text()
  return response
}

test(`limits hold in a real server, tell how near they are, and outlive a kill -9`, async () => {
  let server = await start()
  const { key } = server
  const [org] = (await server.control.listOrgs()).data
  const requests = await server.control.createLimit({ org: org?.id, measure: 'requests', amount: '3', window: 'month' })
  await server.control.createLimit({ org: org?.id, end_user: 'each', measure: 'requests', amount: '1', window: 'day' })

  const first = await ask(server, key, { user: 'ada' })
  assert.equal(first.status, 200)
  assert.equal(first.headers.get('x-ratelimit-limit-requests'), '1')
  assert.equal(first.headers.get('x-ratelimit-remaining-requests'), '0')
  assert.match(first.headers.get('ratelimit') ?? '', new RegExp(`"${requests.id}";r=2;t=\\d+`))
  const again = await ask(server, key, { user: 'ada' })
  const { error } = (await again.json()) as { error: { code: string; message: string } }
  assert.deepEqual([again.status, error.code], [429, 'rate_limit_exceeded'])
  assert.equal(again.headers.get('x-ratelimit-remaining-requests'), '0')
  assert.ok(Number(again.headers.get('retry-after')) > 0)
  assert.match(error.message, /It fits again at 2\d\d\d-/)
  assert.equal((await ask(server, key, { user: 'bob' })).status, 200)

  await server.kill()
  server = await start()
  assert.equal((await ask(server, key, { user: 'bob' })).status, 429, 'what bob used before the crash counts')
  assert.equal((await ask(server, key)).status, 200)
  assert.equal((await ask(server, key)).status, 429, 'three this month, two of them before the crash')
  const [shown] = (await server.control.listLimits()).data.filter(limit => limit.id === requests.id)
  assert.deepEqual([shown?.used, shown?.held], ['3', '0'])

  await server.control.updateLimit(requests.id, { amount: '10' })
  const budget = await server.control.createLimit({
    org: org?.id,
    measure: 'dollars',
    amount: '0.000001',
    window: 'day',
  })
  assert.notEqual(budget.used, '0.00', 'what was charged today counts from the start')
  const refused = await ask(server, key)
  const body = (await refused.json()) as { error: { code: string; message: string } }
  assert.deepEqual([refused.status, body.error.code], [402, 'budget_exceeded'])
  assert.equal(refused.headers.get('x-should-retry'), 'false')
  await server.control.removeLimit(budget.id)
  assert.equal((await ask(server, key)).status, 200)
  await server.stop()
})
