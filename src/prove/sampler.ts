import { setTimeout as sleep } from 'node:timers/promises'
import type { BooksPort } from './books-port.ts'

/** Time between two looks at the books. */
const SAMPLE_EVERY_MS = 20

/** Looks at the books while money moves, and keeps the worst that it saw. */
export class Sampler {
  samples = 0
  /** The most that was settled and held together, nanodollars. */
  worstTakenNanodollars = 0n
  /** The last of each. */
  spentNanodollars = 0n
  heldNanodollars = 0n
  readonly #keyId: string
  #books: BooksPort | null = null
  #stopped = false

  constructor(keyId: string) {
    this.#keyId = keyId
  }

  /** The books to look at from now on; null while no server runs. */
  look(books: BooksPort | null): void {
    this.#books = books
  }

  /** Looks again and again until `stop`. */
  async run(): Promise<void> {
    while (!this.#stopped) {
      const books = this.#books
      if (books !== null) {
        try {
          await this.sample(books)
        } catch (error) {
          // A server that was killed in the middle of its answer has given none; one that runs has to answer.
          if (books === this.#books) throw error
        }
      }
      await sleep(SAMPLE_EVERY_MS)
    }
  }

  /** One look. */
  async sample(books: BooksPort): Promise<void> {
    const { spentNanodollars, heldNanodollars } = await books.keyMoney(this.#keyId)
    this.samples++
    this.spentNanodollars = spentNanodollars
    this.heldNanodollars = heldNanodollars
    const taken = spentNanodollars + heldNanodollars
    if (taken > this.worstTakenNanodollars) this.worstTakenNanodollars = taken
  }

  stop(): void {
    this.#stopped = true
  }
}
