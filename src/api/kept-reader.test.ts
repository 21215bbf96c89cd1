import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Caller } from '../admission/authenticate.ts'
import type { KeptDocuments } from '../ledger/kept-document.ts'
import { keptReader } from './kept-reader.ts'

const kept = {
  find: async (kind: string, orgId: string, id: string) =>
    orgId === 'org' && kind === 'response' && id === 'resp_1' ? { keyId: 'key_1', json: '{}' } : null,
} as unknown as KeptDocuments

const found = (orgId: string, keyId: string, isToken: boolean) => {
  const caller = { org: { id: orgId }, key: { id: keyId }, ...(isToken && { token: {} }) } as unknown as Caller
  return keptReader(kept, caller, () => 0).find('response', 'resp_1')
}

test('a key goes on from what any key of its org made, a token from what its own key made', async () => {
  assert.equal(await found('org', 'key_1', false), '{}')
  assert.equal(await found('org', 'key_2', false), '{}')
  assert.equal(await found('org', 'key_1', true), '{}')
  assert.equal(await found('org', 'key_2', true), null)
  assert.equal(await found('other', 'key_1', false), null)
})
