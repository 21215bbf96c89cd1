import type { FileHandle } from 'node:fs/promises'
import { ApiError } from '../errors.ts'
import type { KeptDocument, KeptDocuments, KeptPage } from '../ledger/kept-document.ts'
import {
  documentOfFile,
  FILE_PURPOSES,
  type FileDescription,
  type FileOwner,
  type FilePurpose,
  fileOfDocument,
} from './file-description.ts'
import type { FileFolder } from './file-folder.ts'
import { OrgBytes } from './org-bytes.ts'
import { noSpace, Upload } from './upload.ts'

/** The part of the configuration that files need. */
export interface FileSettings {
  /** Largest file of a client. */
  readonly bytesMax: number
  /** Most that all files of one org take together. */
  readonly totalBytesMaxPerOrg: number
  /** How long a file is kept that names no time of its own; null: until it is deleted. */
  readonly keepMs: number | null
}

/** What files are made of. */
export interface FilesParts {
  readonly folder: FileFolder
  readonly kept: KeptDocuments
  readonly nowMs: () => number
  readonly newId: (prefix: string) => string
  readonly settings: FileSettings
}

/** Somebody, such as a batch, who goes on reading a file's bytes even when its org deletes it. */
export interface FileHolder {
  readonly orgId: string
  /** Unique among all holders and files. */
  readonly id: string
}

/** What a file is called, what it is for and how long it is kept, once its bytes are there. */
export interface FileTerms {
  readonly filename: string
  readonly purpose: FilePurpose
  /** Seconds from now; null: as long as the operator keeps files. */
  readonly expiresAfterS: number | null
}

/** Descriptions read at a time when a server starts. */
const PAGE = 1000
/**
 * No upload begins that would leave less on the disk: the books are on the same one, and without space for settlements nothing can be
 * sold at all.
 */
const DISK_RESERVE_BYTES = 512 * 1024 * 1024

/** The files of all orgs: their descriptions among the kept documents, their bytes in a folder. */
export class Files {
  readonly #parts: FilesParts
  readonly #used: OrgBytes

  private constructor(parts: FilesParts, used: OrgBytes) {
    this.#parts = parts
    this.#used = used
  }

  /** Adds up what is there, and removes bytes that belong to nobody, as a crash may have left them. `holders` are those of before. */
  static async open(parts: FilesParts, holders: readonly FileHolder[]): Promise<Files> {
    const { folder, kept, nowMs } = parts
    const owners = new Map(holders.map(({ id, orgId }) => [heldName(id), orgId]))
    // One purpose after another, since those are in order.
    for (const purpose of FILE_PURPOSES)
      for (let afterId: string | undefined; ; ) {
        const selection = { kind: 'file', states: [purpose] } as const
        const page = await kept.list(selection, { order: 'asc', limit: PAGE, afterId }, nowMs())
        for (const { id, orgId } of page) owners.set(id, orgId)
        if (page.length < PAGE) break
        afterId = page.at(-1)?.id
      }
    const used = new OrgBytes()
    for (const name of await folder.names()) {
      const orgId = owners.get(name)
      if (orgId === undefined) await folder.remove(name)
      else used.add(orgId, (await folder.size(name)) ?? 0)
    }
    return new Files(parts, used)
  }

  /**
   * Begins a file of a client. `announcedBytes` is what the client says will come, so that what cannot fit is refused before it comes.
   *
   * @throws ApiError 413 when the file is too large or the org has no room left, 503 when the disk is nearly full.
   */
  async begin(owner: FileOwner, announcedBytes: number): Promise<Upload> {
    const { folder, settings } = this.#parts
    const { bytesMax, totalBytesMaxPerOrg } = settings
    if (this.#used.of(owner.orgId) + announcedBytes > totalBytesMaxPerOrg) throw storageFull(totalBytesMaxPerOrg)
    if ((await folder.freeBytes()) - announcedBytes < DISK_RESERVE_BYTES) throw noSpace()
    return new Upload(await folder.create(), (bytes, more) => {
      if (bytes > bytesMax) throw new ApiError('file_too_large', `The file is larger than ${bytesMax} bytes.`)
      if (more > 0 && this.#used.of(owner.orgId) + more > totalBytesMaxPerOrg) throw storageFull(totalBytesMaxPerOrg)
      this.#used.addBytes(owner.orgId, more)
    })
  }

  /** Begins a file that we make for an org: it is what was worked and paid for, and has no bound. */
  async beginOutput({ orgId }: FileOwner): Promise<Upload> {
    return new Upload(await this.#parts.folder.create(), (_, more) => this.#used.addBytes(orgId, more))
  }

  /** Gives the bytes of an upload their place, and answers the document that makes a file of them once it is kept. */
  async place(upload: Upload, owner: FileOwner, terms: FileTerms): Promise<KeptDocument> {
    const { newId, nowMs, settings } = this.#parts
    const id = newId('file-')
    const createdMs = nowMs()
    const keepMs = terms.expiresAfterS === null ? settings.keepMs : terms.expiresAfterS * 1000
    const { filename, purpose } = terms
    await upload.commit(id)
    return documentOfFile({
      ...{ ...owner, id, bytes: upload.bytes, filename, purpose, createdMs },
      expiresMs: keepMs === null ? null : createdMs + keepMs,
    })
  }

  /** Makes a file of an upload. Resolves when it is on disk, bytes and description. */
  async finish(upload: Upload, owner: FileOwner, terms: FileTerms): Promise<FileDescription> {
    const document = await this.place(upload, owner, terms)
    try {
      await this.#parts.kept.put(document)
    } catch (error) {
      await this.removeBytes(owner.orgId, document.id)
      throw error
    }
    return fileOfDocument(document)
  }

  /** @throws ApiError 404 when the org has no such file. */
  async find(orgId: string, id: string, param?: string): Promise<FileDescription> {
    const { kept, nowMs } = this.#parts
    const document = await kept.find('file', orgId, id, nowMs())
    if (document === null) {
      const options = param === undefined ? {} : { param }
      throw new ApiError('file_not_found', `This organisation has no file ${JSON.stringify(id)}.`, options)
    }
    return fileOfDocument(document)
  }

  /** A page of an org's files, of one purpose or all. */
  async list(orgId: string, purpose: string | undefined, page: KeptPage): Promise<readonly FileDescription[]> {
    const { kept, nowMs } = this.#parts
    const states = purpose === undefined ? undefined : [purpose]
    return (await kept.list({ kind: 'file', orgId, ...(states && { states }) }, page, nowMs())).map(fileOfDocument)
  }

  /**
   * Opens the bytes of a file for reading. The caller closes it.
   *
   * @throws ApiError 404 when they are gone although their description is there, as after a backup of the database alone was put back.
   */
  async read({ id }: FileDescription): Promise<FileHandle> {
    try {
      return await this.#parts.folder.read(id)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
      throw new ApiError('file_not_found', `The bytes of ${id} are gone from the server; upload the file again.`, {
        cause,
      })
    }
  }

  /** Deletes a file; answers whether it was there. Who holds its bytes keeps them. */
  async remove(orgId: string, id: string): Promise<boolean> {
    const was = await this.#parts.kept.remove('file', orgId, id)
    // The description went first: bytes without one are nobody's, and a start removes them.
    if (was) await this.removeBytes(orgId, id)
    return was
  }

  /** Removes the bytes of a file whose description is gone. */
  async removeBytes(orgId: string, id: string): Promise<void> {
    const { folder } = this.#parts
    const bytes = await folder.size(id)
    if (bytes === null) return
    await folder.remove(id)
    this.#used.remove(orgId, bytes)
  }

  /** Keeps the bytes of a file for a holder, whatever becomes of the file. They count as another file of the org. */
  async hold(file: FileDescription, holder: FileHolder): Promise<void> {
    await this.#parts.folder.link(file.id, heldName(holder.id))
    this.#used.add(holder.orgId, file.bytes)
  }

  /** Opens what is held, for reading. The caller closes it. */
  readHeld(holder: FileHolder): Promise<FileHandle> {
    return this.#parts.folder.read(heldName(holder.id))
  }

  /** The holder needs the bytes no more. */
  async release({ orgId, id }: FileHolder): Promise<void> {
    await this.removeBytes(orgId, heldName(id))
  }
}

function heldName(holderId: string): string {
  return `${holderId}.held`
}

function storageFull(bytesMax: number): ApiError {
  return new ApiError('file_storage_full', `All files of an organisation may take ${bytesMax} bytes together.`)
}
