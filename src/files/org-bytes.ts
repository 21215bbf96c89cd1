/** An empty file takes a block of the disk too. */
const FILE_BYTES_MIN = 4096

/** Bytes that the files of each org take on disk. */
export class OrgBytes {
  readonly #bytes = new Map<string, number>()

  of(orgId: string): number {
    return this.#bytes.get(orgId) ?? 0
  }

  /** A file came. */
  add(orgId: string, bytes: number): void {
    this.addBytes(orgId, taken(bytes))
  }

  /** A file went. */
  remove(orgId: string, bytes: number): void {
    this.addBytes(orgId, -taken(bytes))
  }

  /** A file grew, or shrank by a negative number. */
  addBytes(orgId: string, bytes: number): void {
    const now = this.of(orgId) + bytes
    if (now > 0) this.#bytes.set(orgId, now)
    else this.#bytes.delete(orgId)
  }
}

/** What a file of so many bytes takes. */
export function taken(bytes: number): number {
  return Math.max(bytes, FILE_BYTES_MIN)
}
