import { assert } from '../std/assert.ts'
import type { Batch } from './batch.ts'
import { type BatchLine, isFault, parseLine, resultText } from './batch-line.ts'
import { plainPath } from './endpoints.ts'
import { documentOfResult } from './line-results.ts'
import { TRIES_MAX, verdictOn } from './line-verdict.ts'
import type { BatchInput } from './make-output.ts'
import type { Pause } from './pause.ts'
import type { BatchParts } from './ports.ts'
import type { Progress } from './progress.ts'

const CROWDED = { code: 'engine_overloaded', message: 'Other requests wait for every place that runs the model.' }

/** Runs the lines of one batch, each to a result or back among those that are to do. */
export class LineRunner {
  readonly #parts: BatchParts
  readonly #batch: Batch
  readonly #input: BatchInput
  readonly #progress: Progress
  readonly #pause: Pause
  /** Of lines that met a failing upstream. */
  readonly #tries = new Map<number, number>()

  constructor(parts: BatchParts, batch: Batch, input: BatchInput, progress: Progress, pause: Pause) {
    this.#parts = parts
    this.#batch = batch
    this.#input = input
    this.#progress = progress
    this.#pause = pause
  }

  /** Runs a line that was begun. Never rejects. */
  async run(place: number): Promise<void> {
    const { clock, onError } = this.#parts
    try {
      await this.#attempt(place)
    } catch (error) {
      // Ours, or the disk's: the line has no result yet, and is tried again as long as there is time.
      onError(error, this.#batch.id)
      this.#pause.putOff({ code: 'server_error', message: 'The server made a mistake with a request.' }, null, clock)
    } finally {
      this.#progress.putBack(place)
    }
  }

  async #attempt(place: number): Promise<void> {
    const { clock, crowded, newId, run } = this.#parts
    const { orgId, keyId, endpoint } = this.#batch
    const path = plainPath(endpoint)
    const line = parseLine(await this.#input.index.read(this.#input.file, place), path)
    assert(!isFault(line), `line ${place} of ${this.#batch.id} was checked before`)
    if (typeof line.body.model === 'string' && crowded(line.body.model)) return this.#pause.putOff(CROWDED, null, clock)
    const requestId = newId('req_')
    const resultId = newId('batch_req_')
    const completed = (answer: string, nowMs: number) => {
      const text = resultText({ id: resultId, customId: line.customId }, { status: 200, requestId, answer })
      return documentOfResult(this.#batch, place, 'completed', text, nowMs)
    }
    let kept = false
    const answer = await run({
      ...{ orgId, keyId, requestId, path, body: Buffer.from(JSON.stringify(line.body)) },
      keep: (bytes, nowMs) => {
        kept = true
        return [completed(Buffer.from(bytes).toString(), nowMs)]
      },
    })
    const verdict = verdictOn(answer)
    switch (verdict.kind) {
      case 'completed':
        // Whoever answers keeps the result with the charge. Should that be forgotten, the line must not run, and be charged, again.
        if (!kept) await this.#parts.kept.put(completed(answer.body, clock.nowMs()))
        this.#progress.done(place, 'completed')
        return this.#pause.over()
      case 'failed':
        return await this.#fail(place, line, resultId, requestId, answer)
      case 'again': {
        const tries = (this.#tries.get(place) ?? 0) + 1
        this.#tries.set(place, tries)
        if (tries >= TRIES_MAX) return await this.#fail(place, line, resultId, requestId, answer)
        return this.#pause.putOff(verdict.error, answer.retryAfterMs, clock)
      }
      case 'later':
        return this.#pause.putOff(verdict.error, answer.retryAfterMs, clock)
    }
  }

  async #fail(
    place: number,
    { customId }: BatchLine,
    id: string,
    requestId: string,
    { status, body }: { readonly status: number; readonly body: string },
  ): Promise<void> {
    const { kept, clock } = this.#parts
    const text = resultText({ id, customId }, { status, requestId, answer: body })
    await kept.put(documentOfResult(this.#batch, place, 'failed', text, clock.nowMs()))
    this.#progress.done(place, 'failed')
    this.#pause.over()
  }
}
