import { ApiError } from '../errors.ts'
import type { FileOwner } from '../files/file-description.ts'
import type { FileHolder } from '../files/files.ts'
import type { KeptDocuments, KeptPage } from '../ledger/kept-document.ts'
import {
  type Batch,
  type BatchOrder,
  batchOfDocument,
  cancelled,
  documentOfBatch,
  isUnfinished,
  newBatch,
  UNFINISHED,
} from './batch.ts'
import { BatchRun, BatchStopped } from './batch-run.ts'
import { plainPath } from './endpoints.ts'
import { countResults } from './line-results.ts'
import type { BatchParts } from './ports.ts'
import { Slots } from './slots.ts'

/** Batches that are at work; the others wait. Each holds an index of its input, at most 600 kB. */
const ACTIVE_MAX = 32
/** One whose lines have not come through for so long, as for want of credit, gives its place to one that waits. */
const YIELD_AFTER_MS = 60_000
/** A batch whose files or results could not be written is taken up again after so long. */
const RETRY_MS = 15_000
/** Unfinished batches read at a time when a server starts. */
const PAGE = 256

/** A batch, and how far it is. */
export interface BatchView {
  readonly batch: Batch
  readonly completed: number
  readonly failed: number
  /** Why its lines do not come through, and since when; null: they do, or none runs. */
  readonly waiting: BatchRun['waiting']
}

type Ref = Pick<Batch, 'id' | 'orgId' | 'keyId'>

/** All batches: takes them in, runs them a few at a time, and tells how far they are. */
export class Batches {
  readonly #parts: BatchParts
  readonly #slots: Slots
  /** In the order in which they came. */
  #waiting: Ref[] = []
  readonly #active = new Map<string, { readonly ref: Ref; readonly run: BatchRun; readonly ended: Promise<void> }>()
  /** Unfinished batches by org. */
  readonly #open = new Map<string, number>()
  #closed = false
  #cancelLook: () => void = () => undefined

  constructor(parts: BatchParts) {
    this.#parts = parts
    this.#slots = new Slots(parts.settings.concurrency)
  }

  /** Goes on with what a process before left unfinished. */
  start(unfinished: readonly Ref[]): void {
    for (const ref of unfinished) this.#enqueue(ref)
  }

  /**
   * Takes in a batch. Resolves when it is on disk.
   *
   * @throws ApiError 400 when the file is not for batches or the endpoint is none for them, 404 without the file, 429 when the org has
   * too many unfinished batches.
   */
  async create(owner: FileOwner, order: BatchOrder): Promise<BatchView> {
    const { files, kept, clock, newId, settings } = this.#parts
    if (!settings.paths.includes(plainPath(order.endpoint)))
      throw new ApiError('invalid_value', `endpoint: batches can ask for ${settings.paths.join(', ')}.`, {
        param: 'endpoint',
      })
    if ((this.#open.get(owner.orgId) ?? 0) >= settings.openMaxPerOrg)
      throw new ApiError(
        'too_many_batches',
        `${settings.openMaxPerOrg} batches of this organisation are unfinished already.`,
      )
    // Counted before anything is waited for, so that many at once do not get past the bound.
    this.#count(owner.orgId, 1)
    try {
      const file = await files.find(owner.orgId, order.inputFileId, 'input_file_id')
      if (file.purpose !== 'batch') {
        const message = `${file.id} was uploaded with the purpose ${file.purpose}; upload it with the purpose "batch".`
        throw new ApiError('invalid_value', `input_file_id: ${message}`, { param: 'input_file_id' })
      }
      const batch = newBatch(newId('batch_'), owner, order, clock.nowMs())
      await files.hold(file, batch)
      try {
        await kept.put(documentOfBatch(batch))
      } catch (error) {
        await files.release(batch)
        throw error
      }
      this.#waiting.push(batch)
      this.#fill()
      return { batch, completed: 0, failed: 0, waiting: null }
    } catch (error) {
      this.#count(owner.orgId, -1)
      throw error
    }
  }

  /** @throws ApiError 404 when the org has no such batch. */
  async find(orgId: string, id: string): Promise<BatchView> {
    return this.#view(await this.#load(orgId, id))
  }

  /** A page of an org's batches. */
  async list(orgId: string, page: KeptPage): Promise<readonly BatchView[]> {
    const { kept, clock } = this.#parts
    const documents = await kept.list({ kind: 'batch', orgId }, page, clock.nowMs())
    return Promise.all(documents.map(document => this.#view(batchOfDocument(document))))
  }

  /**
   * Cancels a batch: no line of it begins any more, those under way end.
   *
   * @throws ApiError 404 when the org has no such batch, 409 when it is too late.
   */
  async cancel(orgId: string, id: string): Promise<BatchView> {
    const { kept, clock } = this.#parts
    for (;;) {
      const batch = await this.#load(orgId, id)
      const next = cancelled(batch, clock.nowMs())
      if (next === batch) return this.#view(batch)
      // The runner may have moved it on in this moment; then it is decided by its new status.
      if (!(await kept.replace(documentOfBatch(next), [batch.status]))) continue
      this.#active.get(id)?.run.cancel()
      // There is little left to do for it, so it need not wait for its turn.
      const waiting = this.#waiting.find(ref => ref.id === id)
      if (waiting !== undefined) this.#waiting = [waiting, ...this.#waiting.filter(ref => ref !== waiting)]
      return this.#view(next)
    }
  }

  /** Begins no line any more; resolves when what is under way has ended. The next start goes on. */
  async close(): Promise<void> {
    this.#closed = true
    for (const { run } of this.#active.values()) run.stop()
    await Promise.all([...this.#active.values()].map(({ ended }) => ended))
  }

  async #load(orgId: string, id: string): Promise<Batch> {
    const { kept, clock } = this.#parts
    const document = await kept.find('batch', orgId, id, clock.nowMs())
    if (document === null)
      throw new ApiError('batch_not_found', `This organisation has no batch ${JSON.stringify(id)}.`)
    return batchOfDocument(document)
  }

  async #view(batch: Batch): Promise<BatchView> {
    const run = this.#active.get(batch.id)?.run
    const { kept, clock } = this.#parts
    const { completed, failed } =
      batch.result ?? run?.progress ?? (batch.lines === null ? NOTHING : await countResults(kept, batch, clock.nowMs()))
    return { batch, completed, failed, waiting: (isUnfinished(batch) && run?.waiting) || null }
  }

  #enqueue(ref: Ref): void {
    this.#count(ref.orgId, 1)
    this.#waiting.push(ref)
    this.#fill()
  }

  #fill(): void {
    while (!this.#closed) {
      const ref = this.#next()
      if (ref === undefined) return
      if (this.#active.size >= ACTIVE_MAX) {
        this.#makeRoom()
        return
      }
      this.#waiting = this.#waiting.filter(each => each !== ref)
      const run = new BatchRun(this.#parts, this.#slots, ref)
      this.#active.set(ref.id, { ref, run, ended: this.#follow(ref, run) })
    }
  }

  // Sends those back among the waiting that have got nothing done for a while, and looks again later.
  #makeRoom(): void {
    const { clock } = this.#parts
    for (const { run } of this.#active.values())
      if (run.waiting !== null && clock.nowMs() - run.waiting.sinceMs >= YIELD_AFTER_MS) run.stop()
    this.#cancelLook()
    this.#cancelLook = clock.after(YIELD_AFTER_MS, () => this.#fill())
  }

  // The first of the org that has the fewest at work, so that no org's many batches keep those of the others waiting.
  #next(): Ref | undefined {
    const active = new Map<string, number>()
    for (const { ref } of this.#active.values()) active.set(ref.orgId, (active.get(ref.orgId) ?? 0) + 1)
    const atWork = ({ orgId }: Ref) => active.get(orgId) ?? 0
    return this.#waiting.reduce<Ref | undefined>(
      (best, ref) => (best === undefined || atWork(ref) < atWork(best) ? ref : best),
      undefined,
    )
  }

  async #follow(ref: Ref, run: BatchRun): Promise<void> {
    try {
      await run.run()
      this.#count(ref.orgId, -1)
    } catch (error) {
      if (error instanceof BatchStopped) this.#waiting.push(ref)
      else {
        this.#parts.onError(error, ref.id)
        this.#parts.clock.after(RETRY_MS, () => {
          this.#waiting.push(ref)
          this.#fill()
        })
      }
    } finally {
      this.#active.delete(ref.id)
      this.#fill()
    }
  }

  #count(orgId: string, change: number): void {
    const now = (this.#open.get(orgId) ?? 0) + change
    if (now > 0) this.#open.set(orgId, now)
    else this.#open.delete(orgId)
  }
}

const NOTHING = { completed: 0, failed: 0 }

/** The batches that a process before left unfinished; they hold their inputs. */
export async function unfinishedBatches(kept: KeptDocuments, nowMs: number): Promise<(Ref & FileHolder)[]> {
  const found: (Ref & FileHolder)[] = []
  for (let afterId: string | undefined; ; ) {
    const page = await kept.list({ kind: 'batch', states: UNFINISHED }, { order: 'asc', limit: PAGE, afterId }, nowMs)
    found.push(...page.map(({ id, orgId, keyId }) => ({ id, orgId, keyId })))
    if (page.length < PAGE) return found
    afterId = page.at(-1)?.id
  }
}
