/** Remembers which choices of an answer have finished, whoever said so. */
export class Choices {
  readonly #count: number
  readonly #finished = new Set<number>()
  /** Finishes inside frames that passed unread: how many is known, not which. */
  #finishedInFrames = 0

  constructor(count: number) {
    this.#count = count
  }

  get finished(): boolean {
    return this.#finished.size + this.#finishedInFrames >= this.#count
  }

  /** False when the choice had finished before. */
  finish(choice: number): boolean {
    if (this.#finished.has(choice)) return false
    this.#finished.add(choice)
    return true
  }

  finishInFrames(count: number): void {
    this.#finishedInFrames += count
  }

  /** The choices still open, ascending; none once all are accounted for. */
  open(): number[] {
    const open: number[] = []
    if (this.finished) return open
    for (let choice = 0; choice < this.#count; choice++) if (!this.#finished.has(choice)) open.push(choice)
    return open
  }
}
