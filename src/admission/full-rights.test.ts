import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LimitRule } from '../inference/limit-rule.ts'
import type { ScopedToken } from '../inference/scoped-token.ts'
import type { ApiKey, Snapshot } from '../inference/snapshot.ts'
import { lackingRights, requireFullRights } from './full-rights.ts'

test('a key that is bounded in any way does not act for its organisation', () => {
  const key = { id: 'k', capNanodollars: null, expiresMs: null, projectId: null } as ApiKey
  const org = { id: 'o', name: 'Org', disabled: false }
  const check = (fields: Partial<ApiKey>, lacking: string | null, limits: Partial<LimitRule>[] = [], token = false) => {
    const snapshot = { limitsByKey: new Map([['k', limits]]) } as unknown as Snapshot
    const caller = { org, key: { ...key, ...fields }, ...(token && { token: {} as ScopedToken }) }
    assert.equal(lackingRights(caller, snapshot), lacking)
    if (lacking === null) requireFullRights(caller, snapshot)
    else assert.throws(() => requireFullRights(caller, snapshot), { code: 'permission_denied', status: 403 })
  }
  check({}, null)
  check({ models: null }, null)
  check({ capNanodollars: 0n }, 'this key has a cap')
  check({ models: ['m'] }, 'this key is for some models alone')
  check({ expiresMs: 1 }, 'this key ends')
  check({ projectId: 'p' }, 'this key belongs to a project')
  check({}, 'this is a token', [], true)
  check({}, 'this key has limits of its own', [{ keyId: 'k', hard: true }])
  check({}, null, [{ keyId: null, hard: true }], false)
  check({}, null, [{ keyId: 'k', hard: false }])
})
