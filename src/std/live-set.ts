import { assert } from './assert.ts'

/** What a `LiveSet` writes into its members, so that it finds them again without searching. */
export interface LiveMember {
  /** Where the set keeps it; -1 while it is in none. Only the set writes it. */
  slot: number
}

/**
 * The objects that are at work right now, in no order; adding and removing take constant time and leave nothing behind.
 *
 * A `Set` or `Map` does leave something: when V8 makes a table anew that has filled up with removed entries, the old table keeps
 * its entries and a link to the next one. Once one of them has been moved to the old generation, every later table hangs from
 * it, and with the tables all that was ever in them, until the next full collection. For the running requests that meant 13 kB
 * each, copied twice: a third of all CPU time under load went to the collector, and a tenth does now.
 */
export class LiveSet<Member extends LiveMember> {
  readonly #members: Member[] = []

  /** How many are in it. */
  get size(): number {
    return this.#members.length
  }

  add(member: Member): void {
    assert(member.slot === -1, 'it is in the set already')
    member.slot = this.#members.length
    this.#members.push(member)
  }

  remove(member: Member): void {
    assert(this.#members[member.slot] === member, 'it is not in the set')
    const last = this.#members.pop() as Member
    if (last !== member) {
      this.#members[member.slot] = last
      last.slot = member.slot
    }
    member.slot = -1
  }

  /** Those in it at this moment; what is done with them may add and remove members. */
  members(): Member[] {
    return [...this.#members]
  }
}
