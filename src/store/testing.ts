import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { USAGE_ABSENT } from '../inference/usage.ts'
import { FUNDING, orgAccount } from '../ledger/account.ts'
import type { Settlement } from '../ledger/journal.ts'
import { openStore, type Store, type StoreOptions } from './store.ts'

/** A time within an hour: 2026-01-31 12:34:56.789 UTC. */
export const NOW_MS = Date.UTC(2026, 0, 31, 12, 34, 56, 789)
/** What `settlement` is charged when it is not told otherwise: 100 input tokens, 40 of them cached, 10 output tokens at `PRICE`. */
export const CHARGE = 100_000n

const PRICE = {
  id: 'price_a',
  modelId: 'model_a',
  fromMs: 0,
  toMs: null,
  inputPicodollars: 1_000_000n,
  cachedInputPicodollars: 500_000n,
  outputPicodollars: 2_000_000n,
  requestPicodollars: 0n,
}

/** A settlement that the books accept, but for what is changed. */
export function settlement(requestId: string, changes: Partial<Settlement> = {}): Settlement {
  return {
    requestId,
    orgId: 'org_a',
    keyId: 'key_a',
    modelId: 'model_a',
    protocol: 'openai-chat',
    stream: true,
    upstreamId: 'engine',
    attempts: 1,
    ending: 'completed',
    serviceTier: 'standard',
    endUserId: null,
    usage: {
      ...USAGE_ABSENT,
      inputTokens: 100,
      inputSource: 'reported',
      cachedInputTokens: 40,
      cachedInputSource: 'reported',
      outputTokens: 10,
      outputSource: 'counted',
    },
    priceId: PRICE.id,
    chargeNanodollars: CHARGE,
    overrunNanodollars: 0n,
    costNanodollars: null,
    heldNanodollars: 200_000n,
    admittedMs: NOW_MS - 250,
    settledMs: NOW_MS,
    ttftMs: 12.5,
    durationMs: 250.125,
    ...changes,
  }
}

/** Adds credit to an org, from the operator's funding. */
export function addCredit(store: Store, orgId: string, amountNanodollars: bigint, id = `credit_${orgId}`) {
  const parts = { kind: 'credit', requestId: null, atMs: NOW_MS, memo: null } as const
  return store.addCredit({ id, debit: FUNDING, credit: orgAccount(orgId), amountNanodollars, ...parts })
}

/** Adds a key that may spend without a cap. */
export function createKey(store: Store, id: string, orgId: string): Promise<void> {
  const parts = { capNanodollars: null, createdMs: NOW_MS, expiresMs: null, revokedMs: null, projectId: null }
  return store.createKey({ id, orgId, name: id, hash: `hash of ${id}`, hint: 'wxyz', ...parts })
}

/** Gives an empty store an org with a dollar of credit, a key, and the price that `settlement` names. */
export async function setUp(store: Store): Promise<void> {
  await store.createOrg({ id: 'org_a', name: 'Acme', createdMs: NOW_MS })
  await createKey(store, 'key_a', 'org_a')
  await store.setPrice(PRICE)
  await addCredit(store, 'org_a', 1_000_000_000n)
}

/** Takes back what the migration of `kept_bytes` made, for tests that have a database of an earlier schema come up to date. */
export const DROP_KEPT_BYTES = `DROP TRIGGER kept_bytes_insert; DROP TRIGGER kept_bytes_update; DROP TRIGGER kept_bytes_delete;
  DROP INDEX kept_documents_to_trim; DROP TABLE kept_bytes;`

/** Runs with the path of a database that does not exist yet, and clears away what came to be. */
export async function withPath(run: (path: string) => Promise<void> | void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-store-'))
  try {
    await run(join(folder, 'headrace.db'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Runs with a store that was set up. */
export function withStore(
  run: (store: Store, path: string) => Promise<void>,
  options: Omit<StoreOptions, 'path'> = {},
): Promise<void> {
  return withPath(async path => {
    const store = await openStore({ path, ...options })
    try {
      await setUp(store)
      await run(store, path)
    } finally {
      await store.close()
    }
  })
}
