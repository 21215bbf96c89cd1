import { randomBytes } from 'node:crypto'
import { copyFile, type FileHandle, link, mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'

/** What is written under a temporary name ends so; a start removes what a crash left behind. */
const PART = '.part'
/** What is written goes to the system in pieces of at least so much. */
const WRITE_BYTES = 256 * 1024

/**
 * The bytes of files, in one folder that only the operator's user can open. A file is there whole or not at all: it is written under a
 * temporary name, synced, and then renamed. Names are ours, never a client's.
 */
export class FileFolder {
  readonly #path: string

  private constructor(path: string) {
    this.#path = path
  }

  /** Makes the folder where it is missing. */
  static async open(path: string): Promise<FileFolder> {
    await mkdir(path, { recursive: true, mode: 0o700 })
    return new FileFolder(path)
  }

  /** Begins a file that has no name yet. */
  async create(): Promise<FileWriter> {
    const path = join(this.#path, `${randomBytes(12).toString('hex')}${PART}`)
    return new FileWriter(await open(path, 'wx', 0o600), path, this.#path)
  }

  /** Opens a file for reading. */
  read(name: string): Promise<FileHandle> {
    return open(join(this.#path, name), 'r')
  }

  /** Bytes of a file; null when it is not there. */
  async size(name: string): Promise<number | null> {
    try {
      return (await stat(join(this.#path, name))).size
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
      throw error
    }
  }

  /** Gives the bytes of a file a second name, under which they stay when the first is removed. */
  async link(from: string, to: string): Promise<void> {
    const [source, target] = [join(this.#path, from), join(this.#path, to)]
    try {
      await link(source, target)
    } catch (error) {
      // Not every file system has links.
      if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
      await copyFile(source, target)
    }
  }

  /** Removes a file; one that is not there is as good as removed. */
  async remove(name: string): Promise<void> {
    await rm(join(this.#path, name), { force: true })
  }

  /** The names of all files, those among them that were never finished. */
  names(): Promise<string[]> {
    return readdir(this.#path)
  }

  /** Bytes that the disk has left for us. */
  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#path)
    return bavail * bsize
  }
}

/** A file that is being written. It ends by `commit` or `abandon`. */
export class FileWriter {
  readonly #handle: FileHandle
  readonly #path: string
  readonly #folder: string
  #pending: Uint8Array[] = []
  #pendingBytes = 0

  constructor(handle: FileHandle, path: string, folder: string) {
    this.#handle = handle
    this.#path = path
    this.#folder = folder
  }

  /** Appends bytes, which must not change any more. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#pending.push(bytes)
    this.#pendingBytes += bytes.length
    if (this.#pendingBytes >= WRITE_BYTES) await this.#flush()
  }

  /** Brings all to the disk and gives the file its name. */
  async commit(name: string): Promise<void> {
    await this.#flush()
    await this.#handle.sync()
    await this.#handle.close()
    await rename(this.#path, join(this.#folder, name))
    await syncFolder(this.#folder)
  }

  /** Removes what was written. */
  async abandon(): Promise<void> {
    await this.#handle.close().catch(() => undefined)
    await rm(this.#path, { force: true })
  }

  async #flush(): Promise<void> {
    const pending = this.#pending
    this.#pending = []
    this.#pendingBytes = 0
    let left = pending
    while (left.length > 0) {
      const { bytesWritten } = await this.#handle.writev(left)
      left = after(left, bytesWritten)
    }
  }
}

/** What is left of chunks after their first bytes. */
function after(chunks: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes
  const left: Uint8Array[] = []
  for (const chunk of chunks) {
    if (skip >= chunk.length) skip -= chunk.length
    else {
      left.push(chunk.subarray(skip))
      skip = 0
    }
  }
  return left
}

// A new name is on the disk only when its folder is. Windows cannot sync folders, and orders such writes itself.
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
