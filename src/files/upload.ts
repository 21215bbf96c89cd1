import { ApiError } from '../errors.ts'
import type { FileWriter } from './file-folder.ts'
import { taken } from './org-bytes.ts'

/** Told of the bytes that a file has with what just came, and by how much more that is taken; throws when it may not grow so far. */
type Grow = (bytes: number, more: number) => void

/** The bytes of a file on their way to the disk. It ends by `commit` or `abandon`. */
export class Upload {
  readonly #writer: FileWriter
  readonly #grow: Grow
  #bytes = 0
  #taken = 0
  #open = true

  constructor(writer: FileWriter, grow: Grow) {
    this.#writer = writer
    this.#grow = grow
  }

  /** Written so far. */
  get bytes(): number {
    return this.#bytes
  }

  /** Appends bytes. Rejects with `ApiError` 413 when the file may not grow so far, 503 when the disk is full; then it has to be abandoned. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#count(this.#bytes + bytes.length)
    await told(this.#writer.write(bytes))
  }

  /** Brings the bytes to the disk under a name. After a failure the upload has to be abandoned. */
  async commit(name: string): Promise<void> {
    this.#count(this.#bytes)
    await told(this.#writer.commit(name))
    this.#open = false
  }

  /** Forgets what came. Harmless after its end. */
  async abandon(): Promise<void> {
    if (!this.#open) return
    this.#open = false
    this.#grow(0, -this.#taken)
    await this.#writer.abandon()
  }

  #count(bytes: number): void {
    const now = taken(bytes)
    this.#grow(bytes, now - this.#taken)
    this.#taken = now
    this.#bytes = bytes
  }
}

/** The error for a disk that has no space for a file. */
export function noSpace(cause?: unknown): ApiError {
  return new ApiError('storage_unavailable', 'There is no space for this file at the moment.', { cause })
}

async function told(writing: Promise<void>): Promise<void> {
  try {
    await writing
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw code === 'ENOSPC' || code === 'EDQUOT' ? noSpace(error) : error
  }
}
