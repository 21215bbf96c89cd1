import type { FileHandle } from 'node:fs/promises'
import type { FileOwner } from '../files/file-description.ts'
import type { FileTerms } from '../files/files.ts'
import type { Upload } from '../files/upload.ts'
import type { KeptDocument } from '../ledger/kept-document.ts'
import { assert } from '../std/assert.ts'
import { type Batch, type BatchResult, built, documentOfBatch } from './batch.ts'
import { isFault, parseLine, unrunText } from './batch-line.ts'
import { plainPath } from './endpoints.ts'
import type { InputIndex } from './input-index.ts'
import { resultsOf } from './line-results.ts'
import type { BatchParts } from './ports.ts'
import { UsageSum } from './usage-sum.ts'

/** The input of a batch, to be read a line at a time. */
export interface BatchInput {
  readonly file: FileHandle
  readonly index: InputIndex
}

/**
 * Makes the output and the error file of a batch from the results of its lines; lines without one are in the error file, with the
 * reason. Files and batch become durable together: a crash before that leaves bytes that the next start removes, and this is done anew.
 */
export async function makeOutput(
  parts: Pick<BatchParts, 'kept' | 'files' | 'clock' | 'newId'>,
  batch: Batch,
  openInput: () => Promise<BatchInput | null>,
): Promise<void> {
  const { kept, files, clock, newId } = parts
  const output = new LazyFile(parts, batch, 'output')
  const errors = new LazyFile(parts, batch, 'errors')
  const placed: KeptDocument[] = []
  try {
    const usage = new UsageSum()
    const seen = new Set<number>()
    let completed = 0
    for await (const { place, kind, text } of resultsOf(kept, batch, () => clock.nowMs())) {
      seen.add(place)
      if (kind === 'completed') {
        completed++
        usage.add(text)
      }
      await (kind === 'completed' ? output : errors).writeLine(text)
    }
    const lines = batch.lines ?? 0
    // Without the input nobody knows the names of lines that have no result.
    const input = seen.size < lines ? await openInput() : null
    if (input !== null) {
      const { file, index } = input
      assert(batch.rest !== null, `${batch.id} has lines without a result and without a reason`)
      for (let place = 0; place < lines; place++) {
        if (seen.has(place)) continue
        const line = parseLine(await index.read(file, place), plainPath(batch.endpoint))
        assert(!isFault(line), `line ${place} of ${batch.id} was checked before`)
        await errors.writeLine(unrunText(newId('batch_req_'), line.customId, batch.rest))
      }
    }
    const outputFile = await output.place(placed)
    const errorFile = await errors.place(placed)
    const result: BatchResult = {
      ...{ outputFileId: outputFile, errorFileId: errorFile, completed, failed: lines - completed, usage: usage.total },
    }
    await kept.put(...placed, documentOfBatch(built(batch, result)))
  } catch (error) {
    for (const { id } of placed) await files.removeBytes(batch.orgId, id)
    await output.abandon()
    await errors.abandon()
    throw error
  }
}

/** A file that is only made when there is something to write into it. */
class LazyFile {
  readonly #files: BatchParts['files']
  readonly #owner: FileOwner
  readonly #terms: FileTerms
  #upload: Upload | null = null

  constructor({ files }: Pick<BatchParts, 'files'>, batch: Batch, what: 'output' | 'errors') {
    this.#files = files
    this.#owner = { orgId: batch.orgId, keyId: batch.keyId }
    this.#terms = {
      filename: `${batch.id}_${what}.jsonl`,
      purpose: 'batch_output',
      expiresAfterS: batch.outputExpiresAfterS,
    }
  }

  async writeLine(text: string): Promise<void> {
    this.#upload ??= await this.#files.beginOutput(this.#owner)
    await this.#upload.write(Buffer.from(`${text}\n`))
  }

  /** Adds the document of the file to others, if there is a file; answers its id. */
  async place(documents: KeptDocument[]): Promise<string | null> {
    if (this.#upload === null) return null
    const document = await this.#files.place(this.#upload, this.#owner, this.#terms)
    documents.push(document)
    return document.id
  }

  async abandon(): Promise<void> {
    await this.#upload?.abandon()
  }
}
