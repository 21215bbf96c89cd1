import type { FileHandle } from 'node:fs/promises'
import { assert } from '../std/assert.ts'
import { accepted, type Batch, batchOfDocument, closing, documentOfBatch, ended, refused } from './batch.ts'
import { checkInput } from './check-input.ts'
import { plainPath } from './endpoints.ts'
import { indexInput } from './input-index.ts'
import { clearResults, resultsOf } from './line-results.ts'
import { LineRunner } from './line-runner.ts'
import { type BatchInput, makeOutput } from './make-output.ts'
import { Pause } from './pause.ts'
import type { BatchParts } from './ports.ts'
import { Progress } from './progress.ts'
import type { Slots } from './slots.ts'

/** The server stops; the batch goes on after the next start. */
export class BatchStopped extends Error {
  override name = 'BatchStopped'
}

/** Longest sleep before looking again: at the clock, which may be set, and at the key, which may be revoked. */
const LOOK_MS = 60_000

const LOST = { code: 'input_lost', message: 'The bytes of the input file are gone from the server.' }

type Rest = NonNullable<Batch['rest']>

/**
 * Takes one batch from wherever it is to its end. What it decides is kept before it acts on it, each step by its status, so that it can
 * be broken off between any two steps, by a crash too, and begun anew.
 */
export class BatchRun {
  readonly #parts: BatchParts
  readonly #slots: Slots
  readonly #batch: Pick<Batch, 'id' | 'orgId' | 'keyId'>
  readonly #pause = new Pause()
  #input: BatchInput | null = null
  #progress: Progress | null = null
  #cancelled = false
  #stopped = false
  #wake: () => void = () => undefined

  constructor(parts: BatchParts, slots: Slots, batch: Pick<Batch, 'id' | 'orgId' | 'keyId'>) {
    this.#parts = parts
    this.#slots = slots
    this.#batch = batch
  }

  /** Lines with a result; null before the first line runs. */
  get progress(): Pick<Progress, 'completed' | 'failed'> | null {
    return this.#progress
  }

  /** What the batch waits for. */
  get waiting(): Pause['why'] {
    return this.#pause.why
  }

  /** The batch was cancelled: no line begins any more. */
  cancel(): void {
    this.#cancelled = true
    this.#wake()
  }

  /** Breaks off; `run` rejects with `BatchStopped` once what is under way has ended. */
  stop(): void {
    this.#stopped = true
    this.#wake()
  }

  /** Resolves when the batch has ended. Rejects when something failed that may work later; then it can be run again. */
  async run(): Promise<void> {
    try {
      for (;;) {
        if (this.#stopped) throw new BatchStopped()
        const batch = await this.#load()
        switch (batch?.status) {
          case 'validating':
            await this.#validate(batch)
            break
          case 'in_progress':
            await this.#runLines(batch)
            break
          case 'finalizing':
          case 'cancelling':
            await this.#end(batch)
            break
          default:
            // A crash may have come between the end and this.
            await this.#parts.files.release(this.#batch)
            return
        }
      }
    } finally {
      const input = this.#input
      this.#input = null
      await input?.file.close()
    }
  }

  async #load(): Promise<Batch | null> {
    const { kept, clock } = this.#parts
    const document = await kept.find('batch', this.#batch.orgId, this.#batch.id, clock.nowMs())
    return document === null ? null : batchOfDocument(document)
  }

  // Where somebody was faster, such as a client that cancels, nothing happens, and the batch is looked at anew.
  async #move(from: Batch, to: Batch): Promise<void> {
    await this.#parts.kept.replace(documentOfBatch(to), [from.status])
  }

  async #validate(batch: Batch): Promise<void> {
    const { clock, settings } = this.#parts
    const file = await this.#openHeld(batch)
    if (file === null)
      return await this.#move(batch, refused(batch, [{ ...LOST, line: null, param: null }], clock.nowMs()))
    try {
      const abandoned = () => this.#cancelled || this.#stopped
      const { index, model, errors } = await checkInput(
        file,
        plainPath(batch.endpoint),
        settings.lineBytesMax,
        abandoned,
      )
      if (abandoned()) return await file.close()
      if (errors.length > 0) {
        await file.close()
        return await this.#move(batch, refused(batch, errors, clock.nowMs()))
      }
      this.#input = { file, index }
      await this.#move(batch, accepted(batch, { lines: index.count, model }, clock.nowMs()))
    } catch (error) {
      await file.close().catch(() => undefined)
      this.#input = null
      throw error
    }
  }

  // Null when the bytes are gone, as after a backup of the database alone was put back.
  async #openHeld(batch: Batch): Promise<FileHandle | null> {
    try {
      return await this.#parts.files.readHeld(batch)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
      throw error
    }
  }

  async #openInput(batch: Batch): Promise<BatchInput | null> {
    if (this.#input !== null) return this.#input
    const { settings } = this.#parts
    const file = await this.#openHeld(batch)
    if (file === null) return null
    try {
      this.#input = { file, index: await indexInput(file, settings.lineBytesMax) }
      return this.#input
    } catch (error) {
      await file.close()
      throw error
    }
  }

  async #runLines(batch: Batch): Promise<void> {
    const { kept, clock } = this.#parts
    const input = await this.#openInput(batch)
    if (input === null) return await this.#move(batch, closing(batch, 'completed', LOST, clock.nowMs()))
    assert(input.index.count === batch.lines, `${batch.id} has ${input.index.count} lines, not ${batch.lines}`)
    const progress = new Progress(batch.lines)
    for await (const { place, kind } of resultsOf(kept, batch, () => clock.nowMs())) progress.done(place, kind)
    this.#progress = progress
    const runner = new LineRunner(this.#parts, batch, input, progress, this.#pause)
    const why = await this.#loop(batch, progress, runner)
    // What is under way ends, whatever happens: it will be paid for.
    while (progress.running > 0) await this.#woken()
    if (this.#stopped) throw new BatchStopped()
    if (why === 'cancelled') return
    const closed =
      progress.left === 0
        ? closing(batch, 'completed', null, clock.nowMs())
        : closing(batch, why.outcome, why.rest, clock.nowMs())
    await this.#move(batch, closed)
  }

  // Begins line after line until there is none left or a reason not to.
  async #loop(
    batch: Batch,
    progress: Progress,
    runner: LineRunner,
  ): Promise<'cancelled' | { outcome: 'completed' | 'expired'; rest: Rest | null }> {
    const { clock } = this.#parts
    for (;;) {
      if (this.#cancelled || this.#stopped) return 'cancelled'
      if (progress.left === 0) return { outcome: 'completed', rest: null }
      const rest = this.#noMore(batch)
      if (rest !== null) return rest
      const quietMs = this.#pause.untilMs - clock.monotonicMs()
      if (quietMs > 0 || progress.left === progress.running) {
        const untilEndMs = Math.max(0, batch.expiresMs - clock.nowMs())
        await this.#woken(Math.min(quietMs > 0 ? quietMs : LOOK_MS, untilEndMs, LOOK_MS))
        continue
      }
      const release = await this.#slots.take()
      // While it waited for its turn anything may have changed.
      const mayBegin = !this.#cancelled && !this.#stopped && this.#noMore(batch) === null
      const place = mayBegin && this.#pause.untilMs <= clock.monotonicMs() ? progress.begin() : null
      if (place === null) release()
      else
        void runner.run(place).finally(() => {
          release()
          this.#wake()
        })
    }
  }

  // Why no line begins any more, though some are left.
  #noMore(batch: Batch): { outcome: 'completed' | 'expired'; rest: Rest } | null {
    const { clock, refusalOf } = this.#parts
    if (clock.nowMs() >= batch.expiresMs) {
      const { why } = this.#pause
      const cause = why === null ? '' : ` The batch was waiting: ${why.error.message} (${why.error.code})`
      const message = `This request could not be run before the completion window ended.${cause}`
      return { outcome: 'expired', rest: { code: 'batch_expired', message } }
    }
    const refusal = refusalOf(batch.orgId, batch.keyId)
    return refusal === null ? null : { outcome: 'completed', rest: { code: refusal.code, message: refusal.message } }
  }

  async #end(batch: Batch): Promise<void> {
    const { kept, files, clock } = this.#parts
    // One that was cancelled before it was checked has nothing to tell.
    if (batch.result === null && batch.lines !== null) {
      await makeOutput(this.#parts, batch, () => this.#openInput(batch))
      return
    }
    await clearResults(kept, batch, () => clock.nowMs())
    await files.release(batch)
    await this.#move(batch, ended(batch, clock.nowMs()))
  }

  /** Resolves when something changed, or after so long. */
  #woken(forMs?: number): Promise<void> {
    return new Promise(resolve => {
      const cancel = forMs === undefined ? () => undefined : this.#parts.clock.after(forMs, resolve)
      this.#wake = () => {
        cancel()
        resolve()
      }
    })
  }
}
