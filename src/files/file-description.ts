import type { KeptDocument } from '../ledger/kept-document.ts'

/** What clients may upload files for. They are kept alike; only those for batches can be the input of one. */
export const UPLOAD_PURPOSES = ['assistants', 'batch', 'fine-tune', 'vision', 'user_data', 'evals'] as const

/** What files are for; `batch_output` are those that batches make. */
export const FILE_PURPOSES = [...UPLOAD_PURPOSES, 'batch_output'] as const

export type FilePurpose = (typeof FILE_PURPOSES)[number]

/** For whom a file is kept. */
export interface FileOwner {
  readonly orgId: string
  /** The API key that it came by. */
  readonly keyId: string
}

/** A file as it is described to its org; its bytes are in the folder of files, under its id. */
export interface FileDescription extends FileOwner {
  /** `file-` and 26 characters. */
  readonly id: string
  readonly bytes: number
  /** As the client named it, without folders. */
  readonly filename: string
  readonly purpose: FilePurpose
  readonly createdMs: number
  /** From then on it is gone; null: until it is deleted. */
  readonly expiresMs: number | null
}

/** The description as it is kept. Its state is the purpose, so that files can be found by it. */
export function documentOfFile({
  id,
  orgId,
  keyId,
  purpose,
  createdMs,
  expiresMs,
  bytes,
  filename,
}: FileDescription): KeptDocument {
  const json = JSON.stringify({ bytes, filename })
  return { kind: 'file', id, orgId, keyId, parentId: null, state: purpose, json, createdMs, expiresMs }
}

/** The description that `documentOfFile` made a document of. */
export function fileOfDocument({ id, orgId, keyId, state, createdMs, expiresMs, json }: KeptDocument): FileDescription {
  const { bytes, filename } = JSON.parse(json) as { bytes: number; filename: string }
  return { id, orgId, keyId, purpose: state as FilePurpose, createdMs, expiresMs, bytes, filename }
}
