import type { KeptDocument, KeptDocuments, KeptKind, KeptPage, KeptSelection } from './kept-document.ts'

/** Kept documents in memory, with the store's rules, for tests of those who keep them. */
export class MemoryKept implements KeptDocuments {
  /** In the order in which they were first put. */
  readonly documents: KeptDocument[] = []

  async put(...documents: readonly KeptDocument[]): Promise<void> {
    for (const document of documents) {
      const at = this.documents.findIndex(each => isSame(each, document))
      if (at < 0) this.documents.push(document)
      else this.documents[at] = document
    }
  }

  async replace(document: KeptDocument, states?: readonly string[]): Promise<boolean> {
    const at = this.documents.findIndex(each => isSame(each, document))
    if (at < 0 || states?.includes((this.documents[at] as KeptDocument).state) === false) return false
    this.documents[at] = document
    return true
  }

  async find(kind: KeptKind, orgId: string, id: string, nowMs: number): Promise<KeptDocument | null> {
    return this.documents.find(each => isSame(each, { kind, orgId, id }) && !isOver(each, nowMs)) ?? null
  }

  async list(selection: KeptSelection, page: KeptPage, nowMs: number): Promise<readonly KeptDocument[]> {
    const found = this.#selected(selection, nowMs)
    if (page.order === 'desc') found.reverse()
    const from = page.afterId === undefined ? 0 : found.findIndex(({ id }) => id === page.afterId) + 1
    return page.afterId !== undefined && from === 0 ? [] : found.slice(from, from + page.limit)
  }

  async countByState(selection: KeptSelection, nowMs: number): Promise<ReadonlyMap<string, number>> {
    const counts = new Map<string, number>()
    for (const { state } of this.#selected(selection, nowMs)) counts.set(state, (counts.get(state) ?? 0) + 1)
    return counts
  }

  async remove(kind: KeptKind, orgId: string, id: string): Promise<boolean> {
    this.#drop(each => each.parentId === id && each.orgId === orgId)
    return this.#drop(each => isSame(each, { kind, orgId, id })).length > 0
  }

  async clear(selection: KeptSelection, limit: number, nowMs: number): Promise<number> {
    const doomed = new Set(this.#selected(selection, nowMs).slice(0, limit))
    return this.#drop(each => doomed.has(each)).length
  }

  async sweep(nowMs: number): Promise<readonly KeptDocument[]> {
    return this.#drop(each => isOver(each, nowMs))
  }

  /** Takes a document away without anybody having asked for it. */
  forget(kind: KeptKind, id: string): void {
    this.#drop(each => each.kind === kind && each.id === id)
  }

  #selected({ kind, orgId, parentId, states }: KeptSelection, nowMs: number): KeptDocument[] {
    return this.documents.filter(
      each =>
        each.kind === kind &&
        !isOver(each, nowMs) &&
        (orgId === undefined || each.orgId === orgId) &&
        (parentId === undefined || each.parentId === parentId) &&
        states?.includes(each.state) !== false,
    )
  }

  #drop(doomed: (document: KeptDocument) => boolean): KeptDocument[] {
    const gone = this.documents.filter(doomed)
    const rest = this.documents.filter(each => !doomed(each))
    this.documents.splice(0, Number.POSITIVE_INFINITY, ...rest)
    return gone
  }
}

type Name = Pick<KeptDocument, 'kind' | 'orgId' | 'id'>

function isSame(one: Name, other: Name): boolean {
  return one.kind === other.kind && one.orgId === other.orgId && one.id === other.id
}

function isOver({ expiresMs }: KeptDocument, nowMs: number): boolean {
  return expiresMs !== null && expiresMs <= nowMs
}
