import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { KeptDocument, KeptKind } from '../ledger/kept-document.ts'

/** What a document is known by. */
export type KeptName = Pick<KeptDocument, 'kind' | 'orgId' | 'id'>

/**
 * Documents that are deleted for the bound in one go, so that no settlement waits long behind; more only where more were written, so that an
 * org never gets further beyond its bound by writing many.
 */
const TRIM_MAX = 128
/** Of each that is written, so many may go: more than one, so that an org that is beyond its bound comes back. */
const TRIM_PER_DOCUMENT_MAX = 2

// As the schema's triggers and its index have it.
const COUNTED: readonly KeptKind[] = ['response', 'response_item', 'chat_completion']

/**
 * Bounds what the kept responses, their items and the stored chat completions of one org take, as the table `kept_bytes` has it, which the
 * schema's triggers keep. Files and batches have bounds of their own.
 */
export class KeptBound {
  readonly #bytesMax: number
  readonly #sum: StatementSync
  readonly #over: StatementSync
  readonly #oldest: StatementSync
  readonly #delete: StatementSync
  readonly #deleteItems: StatementSync

  /** `bytesMax` is of each org. */
  constructor(database: DatabaseSync, bytesMax: number) {
    this.#bytesMax = bytesMax
    this.#sum = database.prepare('SELECT bytes FROM kept_bytes WHERE org = ?')
    this.#over = database.prepare('SELECT org FROM kept_bytes WHERE bytes > ?')
    // The conditions are those of the index, word for word. A response that is not over is still to be written once more.
    this.#oldest = database.prepare(
      `SELECT seq, kind, id FROM kept_documents INDEXED BY kept_documents_to_trim
       WHERE org = ? AND kind IN ('response', 'response_item', 'chat_completion')
       AND NOT (kind = 'response' AND state IN ('queued', 'in_progress')) ORDER BY seq LIMIT 1`,
    )
    this.#delete = database.prepare('DELETE FROM kept_documents WHERE seq = ?')
    // Left to itself SQLite reads all items of the org.
    this.#deleteItems = database.prepare(
      `DELETE FROM kept_documents INDEXED BY kept_documents_by_parent WHERE parent = ? AND kind = 'response_item' AND org = ?`,
    )
  }

  /** Makes room for what was just written: the oldest documents of its orgs go, a bounded number. Only within a transaction. */
  makeRoom(written: Iterable<KeptDocument>): void {
    const orgIds = new Set<string>()
    let count = 0
    for (const { kind, orgId } of written) {
      if (!COUNTED.includes(kind)) continue
      orgIds.add(orgId)
      count++
    }
    let left = Math.max(TRIM_MAX, count * TRIM_PER_DOCUMENT_MAX)
    for (const orgId of orgIds) left -= this.#trim(orgId, left).deleted
  }

  /** Deletes about so many documents of orgs that are beyond the bound, and answers them without the items of responses. */
  sweep(limit: number): readonly KeptName[] {
    const swept: KeptName[] = []
    let left = limit
    for (const { org } of this.#over.all(this.#bytesMax)) {
      if (left <= 0) break
      const { deleted, names } = this.#trim(String(org), left)
      left -= deleted
      swept.push(...names)
    }
    return swept
  }

  // The items of a response go with it, also where they are more than are left to delete.
  #trim(orgId: string, limit: number): { readonly deleted: number; readonly names: readonly KeptName[] } {
    const names: KeptName[] = []
    let deleted = 0
    while (deleted < limit && Number(this.#sum.get(orgId)?.bytes ?? 0) > this.#bytesMax) {
      const oldest = this.#oldest.get(orgId)
      if (oldest === undefined) break
      const { seq, kind, id } = oldest as { seq: number; kind: KeptKind; id: string }
      this.#delete.run(seq)
      deleted++
      if (kind === 'response') deleted += Number(this.#deleteItems.run(id, orgId).changes)
      names.push({ kind, orgId, id })
    }
    return { deleted, names }
  }
}
