import type { KeptDocument, KeptDocuments } from '../ledger/kept-document.ts'
import type { Batch } from './batch.ts'

/** Results read at a time: they may be long. */
const PAGE = 16
/** Results deleted at a time, so that no settlement waits long behind. */
const CLEAR_MAX = 256

/** The result of a line as it is kept until the batch's files are made; `place` counts lines from 0. */
export function documentOfResult(
  batch: Pick<Batch, 'id' | 'orgId' | 'keyId'>,
  place: number,
  kind: 'completed' | 'failed',
  text: string,
  nowMs: number,
): KeptDocument {
  const { id, orgId, keyId } = batch
  return {
    ...{ kind: 'batch_line', id: `${id}:${place}`, orgId, keyId, parentId: id, state: kind, json: text },
    ...{ createdMs: nowMs, expiresMs: null },
  }
}

/** A result as it was kept. */
export interface LineResult {
  readonly place: number
  readonly kind: 'completed' | 'failed'
  readonly text: string
}

/** All results that a batch has so far, in the order in which they came. */
export async function* resultsOf(
  kept: KeptDocuments,
  { id, orgId }: Pick<Batch, 'id' | 'orgId'>,
  nowMs: () => number,
): AsyncGenerator<LineResult> {
  for (let afterId: string | undefined; ; ) {
    const page = await kept.list(selectionOf(id, orgId), { order: 'asc', limit: PAGE, afterId }, nowMs())
    for (const document of page) {
      const place = Number(document.id.slice(document.id.lastIndexOf(':') + 1))
      yield { place, kind: document.state as 'completed' | 'failed', text: document.json }
    }
    if (page.length < PAGE) return
    afterId = page.at(-1)?.id
  }
}

/** How many results of each kind a batch has so far. */
export async function countResults(
  kept: KeptDocuments,
  { id, orgId }: Pick<Batch, 'id' | 'orgId'>,
  nowMs: number,
): Promise<{ completed: number; failed: number }> {
  const counts = await kept.countByState(selectionOf(id, orgId), nowMs)
  return { completed: counts.get('completed') ?? 0, failed: counts.get('failed') ?? 0 }
}

/** Deletes the results of a batch, whose files have them now. */
export async function clearResults(
  kept: KeptDocuments,
  { id, orgId }: Pick<Batch, 'id' | 'orgId'>,
  nowMs: () => number,
): Promise<void> {
  while ((await kept.clear(selectionOf(id, orgId), CLEAR_MAX, nowMs())) > 0);
}

function selectionOf(batchId: string, orgId: string) {
  return { kind: 'batch_line', orgId, parentId: batchId } as const
}
