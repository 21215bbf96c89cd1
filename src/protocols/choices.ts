/** Remembers which choices of an answer have finished, whoever said so. */
export class Choices {
  readonly #count: number
  readonly #finished = new Set<number>()

  constructor(count: number) {
    this.#count = count
  }

  get finished(): boolean {
    return this.#finished.size >= this.#count
  }

  /** False when the choice had finished before. */
  finish(choice: number): boolean {
    if (this.#finished.has(choice)) return false
    this.#finished.add(choice)
    return true
  }

  /** The choices still open, ascending. */
  open(): number[] {
    const open: number[] = []
    for (let choice = 0; choice < this.#count; choice++) if (!this.#finished.has(choice)) open.push(choice)
    return open
  }
}
