import type { DatabaseSync, SQLInputValue, SQLOutputValue } from 'node:sqlite'
import { deflateSync, inflateSync } from 'node:zlib'
import type { KeptDocument, KeptDocuments, KeptKind, KeptPage, KeptSelection } from '../ledger/kept-document.ts'
import type { KeptBound, KeptName } from './kept-bound.ts'

/** Documents up to this length are stored as they are: there is little to win. */
const PLAIN_BYTES_MAX = 512
/** Documents deleted in one go, so that no settlement waits long behind. */
const SWEEP_MAX = 256

type Call = <Result>(method: string, ...args: readonly unknown[]) => Promise<Result>

/** The documents, kept by the store's worker, which `write` asks; `read` asks a second thread, so that lists hold nobody up. */
export function keptDocumentsOver(write: Call, read: Call): KeptDocuments {
  return {
    put: (...documents) => write('keptPut', documents),
    replace: (document, states) => write('keptReplace', document, states),
    find: (kind, orgId, id, nowMs) => read('keptFind', kind, orgId, id, nowMs),
    list: (selection, page, nowMs) => read('keptList', selection, page, nowMs),
    countByState: (selection, nowMs) => read('keptCount', selection, nowMs),
    remove: (kind, orgId, id) => write('keptRemove', kind, orgId, id),
    clear: (selection, limit, nowMs) => write('keptClear', selection, limit, nowMs),
    sweep: nowMs => write('keptSweep', nowMs),
  }
}

/** Writes a document; within whatever transaction is open. */
export function putDocument(database: DatabaseSync, document: KeptDocument): void {
  const { kind, orgId, id, keyId, parentId, state, createdMs, expiresMs } = document
  database
    .prepare(
      `INSERT INTO kept_documents (kind, org, id, key, parent, state, created_ms, expires_ms, deflated, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (kind, org, id) DO UPDATE SET key = excluded.key, parent = excluded.parent, state = excluded.state,
       created_ms = excluded.created_ms, expires_ms = excluded.expires_ms, deflated = excluded.deflated, body = excluded.body`,
    )
    .run(kind, orgId, id, keyId, parentId, state, createdMs, expiresMs, ...packed(document.json))
}

function packed(json: string): [number, Uint8Array] {
  const plain = Buffer.from(json)
  return plain.length <= PLAIN_BYTES_MAX ? [0, plain] : [1, deflateSync(plain)]
}

/** What reads can be asked on either connection. */
export function keptReads(database: DatabaseSync) {
  return {
    keptFind: (kind: KeptKind, orgId: string, id: string, nowMs: number): KeptDocument | null => {
      const row = database
        .prepare(
          'SELECT * FROM kept_documents WHERE kind = ? AND org = ? AND id = ? AND (expires_ms IS NULL OR expires_ms > ?)',
        )
        .get(kind, orgId, id, nowMs)
      return row === undefined ? null : documentOf(row)
    },
    keptList: (selection: KeptSelection, page: KeptPage, nowMs: number): readonly KeptDocument[] => {
      const { from, where, values } = conditionOf(selection, nowMs)
      const ascending = page.order === 'asc'
      let after = ''
      if (page.afterId !== undefined) {
        after = ` AND seq ${ascending ? '>' : '<'} (SELECT seq FROM kept_documents WHERE kind = ? AND id = ?${selection.orgId === undefined ? '' : ' AND org = ?'})`
        values.push(selection.kind, page.afterId)
        if (selection.orgId !== undefined) values.push(selection.orgId)
      }
      return database
        .prepare(`SELECT * FROM ${from} WHERE ${where}${after} ORDER BY seq ${ascending ? 'ASC' : 'DESC'} LIMIT ?`)
        .all(...values, page.limit)
        .map(documentOf)
    },
    keptCount: (selection: KeptSelection, nowMs: number): ReadonlyMap<string, number> => {
      const { from, where, values } = conditionOf(selection, nowMs)
      const rows = database
        .prepare(`SELECT state, count(*) AS n FROM ${from} WHERE ${where} GROUP BY state`)
        .all(...values)
      return new Map(rows.map(({ state, n }) => [String(state), Number(n)]))
    },
  }
}

/** The worker's side of what is written: the methods that `keptDocumentsOver` calls. */
export function keptWrites(database: DatabaseSync, bound: KeptBound) {
  const transaction = <Result>(run: () => Result): Result => {
    database.exec('BEGIN IMMEDIATE')
    try {
      const result = run()
      database.exec('COMMIT')
      return result
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK')
      throw error
    }
  }
  return {
    keptPut: (documents: readonly KeptDocument[]) =>
      transaction(() => {
        for (const document of documents) putDocument(database, document)
        bound.makeRoom(documents)
      }),
    keptReplace: (document: KeptDocument, states?: readonly string[]): boolean => {
      const { kind, orgId, id, keyId, parentId, state, expiresMs } = document
      const inStates = states === undefined ? '' : ` AND state IN (${states.map(() => '?').join(', ')})`
      const update = database.prepare(
        `UPDATE kept_documents SET key = ?, parent = ?, state = ?, expires_ms = ?, deflated = ?, body = ?
         WHERE kind = ? AND org = ? AND id = ?${inStates}`,
      )
      const values = [keyId, parentId, state, expiresMs, ...packed(document.json), kind, orgId, id, ...(states ?? [])]
      return transaction(() => {
        const { changes } = update.run(...values)
        if (changes > 0) bound.makeRoom([document])
        return changes > 0
      })
    },
    keptRemove: (kind: KeptKind, orgId: string, id: string): boolean => {
      database.prepare('DELETE FROM kept_documents WHERE parent = ? AND org = ?').run(id, orgId)
      return (
        database.prepare('DELETE FROM kept_documents WHERE kind = ? AND org = ? AND id = ?').run(kind, orgId, id)
          .changes > 0
      )
    },
    keptClear: (selection: KeptSelection, limit: number, nowMs: number): number => {
      const { from, where, values } = conditionOf(selection, nowMs)
      const { changes } = database
        .prepare(
          `DELETE FROM kept_documents WHERE seq IN (SELECT seq FROM ${from} WHERE ${where} ORDER BY seq LIMIT ?)`,
        )
        .run(...values, limit)
      return Number(changes)
    },
    keptSweep: (nowMs: number): readonly KeptName[] =>
      transaction(() => {
        const over = database
          .prepare(
            `DELETE FROM kept_documents WHERE seq IN (SELECT seq FROM kept_documents WHERE expires_ms <= ? ORDER BY expires_ms LIMIT ${SWEEP_MAX})
             RETURNING kind, org, id`,
          )
          .all(nowMs)
          .map(({ kind, org, id }) => ({ kind: kind as KeptKind, orgId: String(org), id: String(id) }))
        return [...over, ...bound.sweep(SWEEP_MAX - over.length)]
      }),
  }
}

function conditionOf({ kind, orgId, parentId, states }: KeptSelection, nowMs: number) {
  let where = 'kind = ? AND (expires_ms IS NULL OR expires_ms > ?)'
  const values: SQLInputValue[] = [kind, nowMs]
  if (orgId !== undefined) {
    where += ' AND org = ?'
    values.push(orgId)
  }
  if (parentId !== undefined) {
    where += ' AND parent = ?'
    values.push(parentId)
  }
  if (states !== undefined) {
    where += ` AND state IN (${states.map(() => '?').join(', ')})`
    values.push(...states)
  }
  // Each gives its documents in the order of their numbers, so that a page costs what a page is long; left to itself SQLite prefers the
  // index of ids, and sorts all there is for every page.
  const index = parentId !== undefined ? 'by_parent' : orgId !== undefined ? 'by_org' : 'by_state'
  return { from: `kept_documents INDEXED BY kept_documents_${index}`, where, values }
}

function documentOf(row: Record<string, SQLOutputValue>): KeptDocument {
  const body = row.body as Uint8Array
  return {
    kind: row.kind as KeptKind,
    id: String(row.id),
    orgId: String(row.org),
    keyId: String(row.key),
    parentId: row.parent === null ? null : String(row.parent),
    state: String(row.state),
    json: Buffer.from(row.deflated === 1 ? inflateSync(body) : body).toString(),
    createdMs: Number(row.created_ms),
    expiresMs: row.expires_ms === null ? null : Number(row.expires_ms),
  }
}
