import { FUNDING, orgAccount } from '../ledger/account.ts'
import { createId, createSecret, hashSecret, hintOf } from './api-key.ts'
import type { ControlDeps } from './ports.ts'

/** What the first start made. The secret exists nowhere else: show it once. */
export interface FirstRun {
  readonly orgId: string
  readonly keyId: string
  readonly secret: string
  readonly creditNanodollars: bigint
}

/** What `firstRun` works with. */
export type FirstRunDeps = Pick<ControlDeps, 'store' | 'randomBytes' | 'pepper'> & { readonly nowMs: number }

const NAME = 'default'

/**
 * Gives a new installation something to begin with: an org "default" with starting credit (nanodollars, 0 for none) and
 * one API key. Does nothing and answers null where an org exists already. When a crash cuts it short the next start finds
 * the org and goes on without it; `headrace keys create` and `headrace credit add` then make up for the rest.
 */
export async function firstRun(deps: FirstRunDeps, startingCreditNanodollars: bigint): Promise<FirstRun | null> {
  const { store, randomBytes, nowMs } = deps
  if ((await store.loadState()).orgs.length > 0) return null
  const orgId = createId('org', randomBytes)
  const keyId = createId('key', randomBytes)
  const secret = createSecret(randomBytes)
  await store.createOrg({ id: orgId, name: NAME, createdMs: nowMs })
  if (startingCreditNanodollars > 0n) {
    await store.addCredit({
      id: `${orgAccount(orgId)}:credit:starting-credit`,
      debit: FUNDING,
      credit: orgAccount(orgId),
      amountNanodollars: startingCreditNanodollars,
      kind: 'credit',
      requestId: null,
      atMs: nowMs,
      memo: 'Starting credit',
    })
  }
  await store.createKey({
    id: keyId,
    orgId,
    name: NAME,
    hash: hashSecret(deps.pepper, secret),
    hint: hintOf(secret),
    capNanodollars: null,
    createdMs: nowMs,
    expiresMs: null,
    revokedMs: null,
    projectId: null,
  })
  return { orgId, keyId, secret, creditNanodollars: startingCreditNanodollars }
}
