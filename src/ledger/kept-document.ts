/** What can be kept for an org beside its money, each kind with ids of its own. */
export type KeptKind =
  | 'response'
  | 'response_item'
  | 'chat_completion'
  | 'file'
  | 'batch'
  | 'batch_line'
  | 'webhook_result'

/**
 * A document that is kept for an org until it is deleted or over: a response, a file's description, a batch. One that is the result of a
 * request becomes durable together with the request's settlement, or not at all.
 */
export interface KeptDocument {
  readonly kind: KeptKind
  /** Unique within its kind and org; at most 255 characters. */
  readonly id: string
  readonly orgId: string
  /** The API key that made it. */
  readonly keyId: string
  /** The document that it belongs to, as a line to its batch; null when it stands alone. */
  readonly parentId: string | null
  /** A word that documents can be found by, such as a batch's status. */
  readonly state: string
  /** The document itself, JSON text. */
  readonly json: string
  readonly createdMs: number
  /** From this wall-clock time on it is as if it had never been; null: until it is deleted. */
  readonly expiresMs: number | null
}

/** Which documents to list. */
export interface KeptSelection {
  readonly kind: KeptKind
  /** Absent: those of every org, for work that goes on after a restart. */
  readonly orgId?: string
  readonly parentId?: string
  readonly states?: readonly string[]
}

/** A page of a list, in the order in which documents were first put. */
export interface KeptPage {
  readonly order: 'asc' | 'desc'
  /** At least 1. */
  readonly limit: number
  /** The id of the last document of the page before. */
  readonly afterId?: string
}

/**
 * Where documents are kept. What resolves is on disk. Documents that are over are not found any more. Of responses, their items and chat
 * completions an org keeps up to a bound in bytes; beyond it what is put takes the place of the oldest, but never of a response that still runs.
 */
export interface KeptDocuments {
  /** Adds a document, or puts it in the place of the one of its kind, org and id, whose place in lists it takes. */
  put(...documents: readonly KeptDocument[]): Promise<void>
  /** As `put`, for a document that is there already and whose state is one of those; answers whether it was. */
  replace(document: KeptDocument, states?: readonly string[]): Promise<boolean>
  find(kind: KeptKind, orgId: string, id: string, nowMs: number): Promise<KeptDocument | null>
  list(selection: KeptSelection, page: KeptPage, nowMs: number): Promise<readonly KeptDocument[]>
  /** How many there are in each state. */
  countByState(selection: KeptSelection, nowMs: number): Promise<ReadonlyMap<string, number>>
  /** Deletes a document and those that belong to it; answers whether it was there. */
  remove(kind: KeptKind, orgId: string, id: string): Promise<boolean>
  /** Deletes the oldest of a selection, at most so many; answers how many that were. */
  clear(selection: KeptSelection, limit: number, nowMs: number): Promise<number>
  /** Deletes documents that are over, or beyond their org's bound, a bounded number at a time; answers them without their JSON. */
  sweep(nowMs: number): Promise<readonly Pick<KeptDocument, 'kind' | 'orgId' | 'id'>[]>
}
