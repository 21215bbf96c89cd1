import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import type { ApiError } from '../errors.ts'
import type { ScopedToken } from '../inference/scoped-token.ts'
import type { ApiKey, Snapshot } from '../inference/snapshot.ts'
import { mayUse, refuseOtherModels } from './allowed-models.ts'
import { authenticate, type Caller } from './authenticate.ts'
import { KeyHasher } from './key-hasher.ts'
import { ScopedTokens } from './scoped-tokens.ts'

const PEPPER = Buffer.from('pepper')
const KEY = { id: 'key_1', orgId: 'org_1', name: 'my key', revokedMs: null, expiresMs: null } as ApiKey
const TOKEN: ScopedToken = {
  ...{ id: 'jti_1', orgId: 'org_1', keyId: 'key_1', models: ['a/b'], limitNanodollars: 1_500_000_000n },
  ...{ createdMs: 1_000_000, expiresMs: 2_000_000, revokedMs: null },
}

function partsOf(text: string): [string, string, string] {
  return text.slice('jwt:'.length).split('.') as [string, string, string]
}

function decoded(part: string): object {
  return JSON.parse(Buffer.from(part, 'base64url').toString())
}

/** What a token signed by the pepper's secret is read as, or the code and message of the refusal. */
function readBy(tokens: ScopedTokens, text: string): string {
  try {
    return tokens.read(text).id
  } catch (error) {
    return `${(error as ApiError).code}: ${(error as ApiError).message}`
  }
}

test('a token says whose it is and what it is for, as a JSON Web Token does', () => {
  const [header, payload] = partsOf(new ScopedTokens(PEPPER).sign(TOKEN, 'my key'))
  assert.deepEqual(decoded(header), { alg: 'HS256', kid: `org_1:${btoa('my key')}`, typ: 'JWT' })
  assert.deepEqual(decoded(payload), {
    ...{ sub: 'org_1', jti: 'jti_1', iat: 1000, exp: 2000, model: 'a/b', models: ['a/b'] },
    spending_limit_nanodollars: '1500000000',
  })
})

test('a token for many models is short enough to be presented', () => {
  const tokens = new ScopedTokens(PEPPER)
  const models = Array.from({ length: 256 }, (_, i) => `some-laboratory/a-model-with-a-long-name-${i}`)
  tokens.put({ ...TOKEN, models })
  const text = tokens.sign({ ...TOKEN, models }, 'my key')
  assert.equal(readBy(tokens, text), 'jti_1')
  assert.deepEqual(tokens.read(text).models, models)
})

test('only what was signed here and is on the books is a token', () => {
  const tokens = new ScopedTokens(PEPPER)
  tokens.put(TOKEN)
  const text = tokens.sign(TOKEN, 'my key')
  const [header, payload, signature] = partsOf(text)
  const none = Buffer.from('{"alg":"none"}').toString('base64url')
  const selfSigned = createHmac('sha256', 'sk-hr-secret').update(`${header}.${payload}`).digest('base64url')
  // Twice: the second time it is remembered.
  for (const _ of [1, 2]) assert.equal(readBy(tokens, text), 'jti_1')
  for (const wrong of [
    `jwt:${none}.${payload}.`,
    `jwt:${none}.${payload}.${signature}`,
    `jwt:${header}.${payload}`,
    `jwt:${header}.${payload}.${signature}.x`,
    `jwt:${header}.${payload}.${selfSigned}`,
    `jwt:${header}.${payload}.${signature.slice(0, -2)}`,
    // Another text of the same bytes.
    `jwt:${header}.${payload}.${signature}=`,
    `jwt:${header}x.${payload}.${signature}`,
    `jwt:${'x'.repeat(9000)}`,
    'jwt:',
  ])
    assert.match(readBy(tokens, wrong), /^invalid_api_key: .* POST \/v1\/scoped-jwt\.$/, wrong.slice(0, 60))
  assert.match(readBy(new ScopedTokens(Buffer.from('other')), text), /^invalid_api_key/)
  assert.match(readBy(new ScopedTokens(PEPPER), text), /^revoked_api_key: .* not known here/)
})

test('tokens that are over are forgotten, and counted by org', () => {
  const tokens = new ScopedTokens(PEPPER)
  tokens.put(TOKEN)
  tokens.put({ ...TOKEN, id: 'jti_0', expiresMs: 3_000_000 })
  tokens.put({ ...TOKEN, id: 'jti_9', orgId: 'org_2' })
  tokens.put({ ...TOKEN, revokedMs: 5 })
  assert.deepEqual([tokens.countOfOrg('org_1'), tokens.countOfOrg('org_2')], [2, 1])
  assert.deepEqual(
    tokens.ofOrg('org_1').map(({ id, revokedMs }) => [id, revokedMs]),
    [
      ['jti_0', null],
      ['jti_1', 5],
    ],
  )
  assert.deepEqual(tokens.forget(2_000_001), ['jti_1', 'jti_9'])
  assert.deepEqual([tokens.countOfOrg('org_1'), tokens.countOfOrg('org_2')], [1, 0])
  assert.deepEqual(tokens.ofOrg('org_2'), [])
})

test('a token works for its key, until it or the key or the org is over', () => {
  const check = (expected: string, token: Partial<ScopedToken> = {}, key: Partial<ApiKey> = {}, disabled = false) => {
    const hasher = new KeyHasher(PEPPER)
    hasher.tokens.put({ ...TOKEN, ...token })
    const text = hasher.tokens.sign(TOKEN, 'my key')
    const snapshot = {
      orgs: new Map([['org_1', { id: 'org_1', name: 'Org', disabled }]]),
      keys: new Map([['key_1', { ...KEY, ...key }]]),
    } as unknown as Snapshot
    for (const headers of [{ authorization: `Bearer ${text}` }, { 'x-api-key': text }]) {
      try {
        const { org, key, token } = authenticate(headers, snapshot, hasher, 1_500_000)
        assert.equal(`${org.id} ${key.id} ${token?.id}`, expected)
      } catch (error) {
        assert.equal((error as ApiError).code, expected, String(error))
      }
    }
  }
  check('org_1 key_1 jti_1')
  check('revoked_api_key', { expiresMs: 1_500_000 })
  check('revoked_api_key', { revokedMs: 1_499_999 })
  check('revoked_api_key', {}, { revokedMs: 1_499_999 })
  check('revoked_api_key', {}, { expiresMs: 1_500_000 })
  check('invalid_api_key', { keyId: 'key_2' })
  check('org_disabled', {}, {}, true)
})

test('a model has to be allowed by the key and by the token', () => {
  const check = (
    keyModels: string[] | null | undefined,
    tokenModels: string[] | null | undefined,
    allowed: boolean,
  ) => {
    const caller = {
      key: { ...KEY, ...(keyModels !== undefined && { models: keyModels }) },
      ...(tokenModels !== undefined && { token: { ...TOKEN, models: tokenModels } }),
    } as Caller
    assert.equal(mayUse(caller, 'm'), allowed)
    if (allowed) refuseOtherModels(caller, 'm')
    else assert.throws(() => refuseOtherModels(caller, 'm'), { code: 'model_not_allowed', status: 403, param: 'model' })
  }
  check(undefined, undefined, true)
  check(null, null, true)
  check(['m'], undefined, true)
  check(['n'], undefined, false)
  check(['n', 'm'], ['m'], true)
  check(['m'], ['n'], false)
  check(['n'], ['m'], false)
  check(null, [], false)
})
