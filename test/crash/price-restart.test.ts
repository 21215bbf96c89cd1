import assert from 'node:assert/strict'
import { test } from 'node:test'
import { headrace, newHome, startServer } from '../support/server.ts'
import { paced, startUpstream, upstreamConfig } from '../support/upstream.ts'

const { baseUrl } = await startUpstream(paced)
const home = newHome()

/** Starts the server with an input price in its configuration, and tells the price that is then in force. */
async function check(input: string, expected: string, thenSet?: string): Promise<void> {
  const server = await startServer(home, {
    upstreams: upstreamConfig(baseUrl, { input, cachedInput: '0.10', output: '2.00' }),
    log: { level: 'error' },
  })
  try {
    const [model] = (await headrace(home, 'models')) as { id: string; price: { input: string } | null }[]
    assert.ok(model)
    assert.equal(model.price?.input, expected)
    if (thenSet !== undefined) {
      await headrace(home, 'models', 'price', model.id, '--input', thenSet, '--cached', '0.10', '--output', '2.00')
    }
  } finally {
    await server.stop()
  }
}

test('a price that the operator sets outlives a restart, until the configuration says another', async () => {
  await check('1.00', '1.00', '1.50')
  await check('1.00', '1.50')
  await check('1.25', '1.25')
})
