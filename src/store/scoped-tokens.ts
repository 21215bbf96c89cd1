import type { DatabaseSync } from 'node:sqlite'
import type { ScopedToken } from '../inference/scoped-token.ts'
import { StoreRefused } from './refusal.ts'
import { listMonths } from './usage-partitions.ts'

/** Tokens deleted in one go, so that no settlement waits long behind. */
const SWEEP_MAX = 256

type Call = <Result>(method: string, ...args: readonly unknown[]) => Promise<Result>

/** A token and what was spent with it, nanodollars. */
export interface SpentToken {
  readonly token: ScopedToken
  readonly spentNanodollars: bigint
}

/** Where scoped tokens are kept. What resolves is on disk. */
export interface ScopedTokenRecords {
  add(token: ScopedToken): Promise<void>
  /** Revokes a token for good; the first revocation stands. */
  revoke(tokenId: string, revokedMs: number): Promise<void>
  /** Those that are not over, in the order in which they were made. */
  live(nowMs: number): Promise<readonly SpentToken[]>
  /** Deletes tokens that were over before a time, a bounded number at a time; answers how many. What was spent with them stays. */
  sweep(beforeMs: number): Promise<number>
}

/** The tokens, kept by the store's worker. */
export function scopedTokensOver(call: Call): ScopedTokenRecords {
  return {
    add: token => call('tokenAdd', token),
    revoke: (tokenId, revokedMs) => call('tokenRevoke', tokenId, revokedMs),
    live: nowMs => call('tokensLive', nowMs),
    sweep: beforeMs => call('tokensSweep', beforeMs),
  }
}

/** The worker's side: the methods that `scopedTokensOver` calls, each a transaction of its own. */
export function scopedTokenMethods(database: DatabaseSync) {
  return {
    tokenAdd: ({ id, orgId, keyId, models, limitNanodollars, createdMs, expiresMs, revokedMs }: ScopedToken) => {
      const key = database.prepare('SELECT org_id FROM api_keys WHERE id = ?').get(keyId)
      if (key?.org_id !== orgId) throw new StoreRefused(`The org ${orgId} has no key ${keyId} to derive a token from.`)
      database
        .prepare('INSERT INTO scoped_tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
        .run(
          ...[id, orgId, keyId, models === null ? null : JSON.stringify(models)],
          ...[limitNanodollars, createdMs, expiresMs, revokedMs],
        )
    },
    tokenRevoke: (tokenId: string, revokedMs: number) => {
      database
        .prepare('UPDATE scoped_tokens SET revoked_ms = coalesce(revoked_ms, ?) WHERE id = ?')
        .run(revokedMs, tokenId)
    },
    tokensLive: (nowMs: number): readonly SpentToken[] => {
      const statement = database.prepare(
        `SELECT t.*, coalesce(s.nanodollars, 0) AS spent FROM scoped_tokens t LEFT JOIN names n ON n.name = t.id
         LEFT JOIN token_spent s ON s.token = n.n WHERE t.expires_ms > ? ORDER BY t.id`,
      )
      statement.setReadBigInts(true)
      return statement.all(nowMs).map(row => ({
        token: {
          id: String(row.id),
          orgId: String(row.org_id),
          keyId: String(row.key_id),
          models: row.models === null ? null : JSON.parse(String(row.models)),
          limitNanodollars: row.limit_nanodollars as bigint | null,
          createdMs: Number(row.created_ms),
          expiresMs: Number(row.expires_ms),
          revokedMs: row.revoked_ms === null ? null : Number(row.revoked_ms),
        },
        spentNanodollars: row.spent as bigint,
      }))
    },
    tokensSweep: (beforeMs: number): number =>
      Number(
        database
          .prepare(
            `DELETE FROM scoped_tokens WHERE id IN (SELECT id FROM scoped_tokens WHERE expires_ms < ? LIMIT ${SWEEP_MAX})`,
          )
          .run(beforeMs).changes,
      ),
  }
}

/** Gives the usage rows of before a column for the token that a request came with; those made since have it. */
export function addTokenColumn(database: DatabaseSync): void {
  // The views over them may speak of the column already.
  database.exec('DROP VIEW IF EXISTS usage; DROP VIEW IF EXISTS transfers')
  for (const { name } of listMonths(database)) {
    const columns = database.prepare(`SELECT 1 FROM pragma_table_info('usage_${name}') WHERE name = 'token'`)
    if (columns.get() === undefined) database.exec(`ALTER TABLE usage_${name} ADD COLUMN token INTEGER`)
  }
}
