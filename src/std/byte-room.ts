/** Bytes that so many users share. Who takes some gives them back once. */
export class ByteRoom {
  #free: number

  constructor(bytes: number) {
    this.#free = bytes
  }

  /** Takes so many bytes, or none and answers false where fewer are free. */
  take(bytes: number): boolean {
    if (bytes > this.#free) return false
    this.#free -= bytes
    return true
  }

  giveBack(bytes: number): void {
    this.#free += bytes
  }
}
