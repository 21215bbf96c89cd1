import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KeyHasher } from '../admission/key-hasher.ts'
import { API_KEY_BODY_LENGTH, API_KEY_PREFIX, apiKeyChecksum } from '../inference/api-key-format.ts'
import type { ApiKey, Snapshot } from '../inference/snapshot.ts'
import type { AccountPorts } from './account.ts'
import { createClientApi } from './app.ts'
import type { ClientApiDeps } from './context.ts'

const NOW_MS = Date.UTC(2026, 0, 31, 12)
const SECRET = API_KEY_PREFIX + '0'.repeat(API_KEY_BODY_LENGTH) + apiKeyChecksum('0'.repeat(API_KEY_BODY_LENGTH))

/** Asks a client API whose account has the ports given. */
async function ask(line: string, body: object, account: Partial<AccountPorts>) {
  const keyHasher = new KeyHasher(Buffer.from('pepper'))
  const key: ApiKey = {
    ...{ id: 'key', orgId: 'org', name: 'key', hash: keyHasher.hash(SECRET) as string, hint: '0000' },
    ...{ capNanodollars: null, createdMs: 0, expiresMs: null, revokedMs: null, projectId: null },
  }
  const api = createClientApi({
    codecs: [],
    keyHasher,
    nowMs: () => NOW_MS,
    snapshot: () =>
      ({
        orgs: new Map([['org', { id: 'org', name: 'Org', disabled: false }]]),
        ...{ keys: new Map([['key', key]]), keysByHash: new Map([[key.hash, key]]) },
        ...{ models: new Map(), limits: new Map(), limitsByKey: new Map() },
      }) as unknown as Snapshot,
    onError: (error: unknown) => assert.fail(error as Error),
    account: account as AccountPorts,
  } as unknown as ClientApiDeps)
  const [method = '', path = ''] = line.split(' ')
  const headers = { authorization: `Bearer ${SECRET}`, 'content-type': 'application/json' }
  const request = new Request(`http://localhost${path}`, { method, headers, body: JSON.stringify(body) })
  const response = await api.fetch(request, 'req_1')
  // biome-ignore lint/suspicious/noExplicitAny: each answer's own document
  return { status: response.status, body: (await response.json()) as any }
}

test('credit is paid for in whole cents, on a page of the provider of payments', async () => {
  const wishes: [string, bigint][] = []
  const checkout: AccountPorts['checkout'] = async (orgId, amountNanodollars) => {
    wishes.push([orgId, amountNanodollars])
    return { id: 'cs_1', url: 'https://pay.example/1', amountNanodollars, bonusNanodollars: 0n, expiresMs: NOW_MS }
  }
  assert.deepEqual(await ask('POST /payment/funds', { amount: 2550 }, { checkout }), {
    status: 200,
    body: { id: 'cs_1', url: 'https://pay.example/1', amount: 2550, bonus: 0, expires_at: '2026-01-31T12:00:00.000Z' },
  })
  assert.deepEqual(wishes, [['org', 25_500_000_000n]])
  for (const amount of [0, -5, 1.5, '5', undefined]) {
    const refused = await ask('POST /payment/funds', { amount }, { checkout })
    assert.equal(refused.status, 400, String(amount))
    assert.match(refused.body.detail.error, /^amount: /)
  }
  assert.equal(wishes.length, 1)
})

test('a monthly limit is set in exact dollars, and taken away', async () => {
  const limits: (bigint | null)[] = []
  const setMonthlyLimit = async (_: string, limit: bigint | null) => void limits.push(limit)
  for (const limit of [10.01, 1e-9, -1]) await ask('POST /payment/config', { limit }, { setMonthlyLimit })
  assert.deepEqual(limits, [10_010_000_000n, 1n, null])
  for (const limit of [0, 1e-10, 1e12, 'much'])
    assert.equal((await ask('POST /payment/config', { limit }, { setMonthlyLimit })).status, 400, String(limit))
  assert.equal(limits.length, 3)
})
