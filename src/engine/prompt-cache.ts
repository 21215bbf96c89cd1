import { mkdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { CacheStatus } from './messages.ts'

/** Tokens of one step of the index; shorter shared prefixes are not worth loading a state for. */
const CHUNK_TOKENS = 16

interface Entry {
  readonly salt: string
  readonly tokens: Int32Array
  readonly path: string
  readonly bytes: number
  /** Nodes of the index that know this entry. */
  readonly nodes: Node[]
  usedMs: number
  hits: number
  /** Running loads of the file; a pinned entry is never evicted. */
  pins: number
  /** A longer entry begins with all of this one, and this one was not asked for since. */
  superseded: boolean
}

/** All entries whose first `n` chunks have the same hash. */
interface Node {
  readonly through: Set<Entry>
  /** Those that end before the next chunk is full. */
  readonly ending: Set<Entry>
}

/** A saved state to begin from. Hand it back with `release` when it was loaded. */
export interface CacheHit {
  readonly path: string
  /** Tokens of the prompt that the state covers. */
  readonly tokens: number
  /** Tokens in the file; more than `tokens` when it has to be cut back. */
  readonly storedTokens: number
  readonly entry: unknown
}

/** A state that is being saved. End it with `commit` or `abandon`. */
export interface PendingSave {
  readonly path: string
  readonly salt: string
  /** What the file will hold: the prompt without its last token, which is always evaluated anew to get fresh logits. */
  readonly tokens: Int32Array
  /** Room that is kept for it. */
  readonly bytes: number
}

/**
 * Index of saved prompt states, found by the tokens they cover. Entries of different salts never meet, so that no org
 * can probe another's prompts by their timing.
 *
 * A state is found by the chained hashes of its chunks of 16 tokens and confirmed by comparing every token, so a
 * collision costs a comparison and never a wrong answer. The bytes of all files stay under `bytesMax`; when room is
 * needed, superseded prefixes go first, then what saves the fewest tokens per byte and second of age.
 */
export class PromptCache {
  readonly #dir: string
  readonly #bytesMax: number
  readonly #tokensMin: number
  readonly #wholePrefixOnly: boolean
  readonly #nowMs: () => number
  readonly #roots = new Map<string, Map<number, Node>>()
  readonly #entries = new Set<Entry>()
  #bytes = 0
  readonly #pending = new Set<PendingSave>()
  #pendingBytes = 0
  /** Learned from the files; 0 until the first. The most seen, so that an estimate is not too low. */
  #bytesPerToken = 0
  #files = 0
  #hits = 0
  #misses = 0
  #savedTokens = 0
  #evictions = 0

  /** Makes the folder anew, so that nothing of an earlier life remains. `nowMs` is monotonic. */
  constructor(options: {
    dir: string
    bytesMax: number
    tokensMin: number
    wholePrefixOnly: boolean
    nowMs: () => number
  }) {
    this.#dir = options.dir
    this.#bytesMax = options.bytesMax
    this.#tokensMin = options.tokensMin
    this.#wholePrefixOnly = options.wholePrefixOnly
    this.#nowMs = options.nowMs
    this.wipe()
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 })
  }

  /** Whether a state of `stored` tokens, of which a prompt shares `common`, can serve that prompt. */
  usable(common: number, stored: number): boolean {
    return this.#wholePrefixOnly ? common >= stored : common >= CHUNK_TOKENS && common * 32 >= stored
  }

  /** How many tokens of the prompt a stored state covers, without claiming it. */
  peek(salt: string, tokens: Int32Array): number {
    return this.#longest(salt, tokens)?.covered ?? 0
  }

  /** The stored state that covers most of the prompt, pinned until `release`. */
  find(salt: string, tokens: Int32Array): CacheHit | undefined {
    const best = this.#longest(salt, tokens)
    if (best === undefined) {
      this.#misses++
      return undefined
    }
    const { entry, covered } = best
    entry.pins++
    entry.hits++
    entry.usedMs = this.#nowMs()
    entry.superseded = false
    this.#hits++
    this.#savedTokens += covered
    return { path: entry.path, tokens: covered, storedTokens: entry.tokens.length, entry }
  }

  release(hit: CacheHit): void {
    const entry = hit.entry as Entry
    if (entry.pins > 0) entry.pins--
  }

  /** Forgets a state whose file turned out to be unusable. */
  drop(hit: CacheHit): void {
    const entry = hit.entry as Entry
    if (this.#entries.has(entry)) this.#remove(entry)
  }

  /**
   * Whether and where to save the state of a prompt of which `coveredTokens` came from the cache. Makes room for it;
   * undefined when the prompt brings too little that is new, or would not fit.
   */
  begin(salt: string, prompt: Int32Array, coveredTokens: number): PendingSave | undefined {
    const tokens = prompt.subarray(0, prompt.length - 1)
    if (tokens.length - coveredTokens < this.#tokensMin) return undefined
    for (const other of this.#pending) {
      // Another slot is already saving as good as the same.
      if (other.salt === salt && tokens.length - shared(other.tokens, tokens) < this.#tokensMin) return undefined
    }
    const pending = this.#reserve(salt, tokens)
    if (pending !== undefined) this.#pending.add(pending)
    return pending
  }

  /**
   * Where to keep the state of a prompt for a while, outside the index; makes room for it. End it with `discard`. Undefined when it
   * would not fit.
   */
  scratch(salt: string, prompt: Int32Array): PendingSave | undefined {
    return this.#reserve(salt, prompt.subarray(0, prompt.length - 1))
  }

  /** Deletes what `scratch` gave. */
  discard(scratch: PendingSave): void {
    this.#pendingBytes -= scratch.bytes
    this.#learn(scratch)
    rmSync(scratch.path, { force: true })
  }

  #reserve(salt: string, tokens: Int32Array): PendingSave | undefined {
    const estimate = this.#bytesPerToken * tokens.length
    if (estimate > this.#bytesMax) return undefined
    if (!this.#makeRoom(estimate)) return undefined
    this.#pendingBytes += estimate
    return { path: join(this.#dir, `${++this.#files}.state`), salt, tokens: tokens.slice(), bytes: estimate }
  }

  /** Bytes of a file that was written; undefined when there is none. */
  #learn({ path, tokens }: PendingSave): number | undefined {
    const bytes = statSync(path, { throwIfNoEntry: false })?.size
    if (bytes !== undefined) this.#bytesPerToken = Math.max(this.#bytesPerToken, bytes / tokens.length)
    return bytes
  }

  /** Takes a file that was written into the index. */
  commit(pending: PendingSave): void {
    this.#settlePending(pending)
    const bytes = this.#learn(pending)
    if (bytes === undefined) return
    if (bytes > this.#bytesMax || !this.#makeRoom(bytes)) {
      rmSync(pending.path, { force: true })
      return
    }
    const entry: Entry = {
      salt: pending.salt,
      tokens: pending.tokens,
      path: pending.path,
      bytes,
      nodes: [],
      usedMs: this.#nowMs(),
      hits: 0,
      pins: 0,
      superseded: false,
    }
    this.#insert(entry)
  }

  /** Gives up a state that was not, or not wholly, written. */
  abandon(pending: PendingSave): void {
    this.#settlePending(pending)
    rmSync(pending.path, { force: true })
  }

  status(): CacheStatus {
    return {
      entries: this.#entries.size,
      bytes: this.#bytes,
      hits: this.#hits,
      misses: this.#misses,
      savedTokens: this.#savedTokens,
      evictions: this.#evictions,
    }
  }

  /** Deletes the folder and all states. */
  wipe(): void {
    rmSync(this.#dir, { recursive: true, force: true })
    this.#entries.clear()
    this.#roots.clear()
    this.#bytes = 0
  }

  #settlePending(pending: PendingSave): void {
    if (this.#pending.delete(pending)) this.#pendingBytes -= pending.bytes
  }

  #longest(salt: string, tokens: Int32Array): { entry: Entry; covered: number } | undefined {
    const nodes = this.#roots.get(salt)
    if (nodes === undefined) return undefined
    // The last token is always evaluated anew, so a state never covers it.
    const usable = tokens.length - 1
    let best: { entry: Entry; covered: number } | undefined
    let deepest: Node | undefined
    let hash = 0
    for (let end = CHUNK_TOKENS; end <= usable; end += CHUNK_TOKENS) {
      hash = chain(hash, tokens, end - CHUNK_TOKENS, end)
      const node = nodes.get(hash)
      if (node === undefined) break
      deepest = node
      if (!this.#wholePrefixOnly) continue
      for (const entry of node.ending) {
        const covered = entry.tokens.length
        if (covered <= usable && covered > (best?.covered ?? 0) && shared(entry.tokens, tokens) >= covered) {
          best = { entry, covered }
        }
      }
    }
    if (this.#wholePrefixOnly || deepest === undefined) return best
    for (const entry of deepest.through) {
      const covered = Math.min(shared(entry.tokens, tokens), usable)
      // Loading reads the whole file: a sliver of a large state is not worth it.
      if (!this.usable(covered, entry.tokens.length)) continue
      if (
        best === undefined ||
        covered > best.covered ||
        (covered === best.covered && entry.bytes < best.entry.bytes)
      ) {
        best = { entry, covered }
      }
    }
    return best
  }

  #insert(entry: Entry): void {
    let nodes = this.#roots.get(entry.salt)
    if (nodes === undefined) {
      nodes = new Map()
      this.#roots.set(entry.salt, nodes)
    }
    let hash = 0
    let last: Node | undefined
    for (let end = CHUNK_TOKENS; end <= entry.tokens.length; end += CHUNK_TOKENS) {
      hash = chain(hash, entry.tokens, end - CHUNK_TOKENS, end)
      let node = nodes.get(hash)
      if (node === undefined) {
        node = { through: new Set(), ending: new Set() }
        nodes.set(hash, node)
      }
      for (const other of node.ending) {
        if (shared(other.tokens, entry.tokens) === other.tokens.length) other.superseded = true
      }
      node.through.add(entry)
      entry.nodes.push(node)
      last = node
    }
    last?.ending.add(entry)
    this.#entries.add(entry)
    this.#bytes += entry.bytes
  }

  #remove(entry: Entry): void {
    this.#entries.delete(entry)
    this.#bytes -= entry.bytes
    rmSync(entry.path, { force: true })
    const nodes = this.#roots.get(entry.salt)
    if (nodes === undefined) return
    let hash = 0
    entry.nodes.forEach((node, index) => {
      hash = chain(hash, entry.tokens, index * CHUNK_TOKENS, (index + 1) * CHUNK_TOKENS)
      node.through.delete(entry)
      node.ending.delete(entry)
      if (node.through.size === 0) nodes.delete(hash)
    })
    if (nodes.size === 0) this.#roots.delete(entry.salt)
  }

  /** Evicts until `bytes` more would fit; false when pinned entries stand in the way. */
  #makeRoom(bytes: number): boolean {
    while (this.#bytes + this.#pendingBytes + bytes > this.#bytesMax) {
      let worst: Entry | undefined
      let worstValue = Number.POSITIVE_INFINITY
      for (const entry of this.#entries) {
        if (entry.pins > 0) continue
        const value = entry.superseded ? -1 / (1 + this.#age(entry)) : this.#value(entry)
        if (value < worstValue) {
          worst = entry
          worstValue = value
        }
      }
      if (worst === undefined) return false
      this.#remove(worst)
      this.#evictions++
    }
    return true
  }

  /** Seconds since the entry was last used. */
  #age(entry: Entry): number {
    return Math.max(0, this.#nowMs() - entry.usedMs) / 1000
  }

  /** Tokens that the entry saved, or will once, per byte and per second since it was last of use. */
  #value(entry: Entry): number {
    return (entry.tokens.length * (1 + entry.hits)) / entry.bytes / (1 + this.#age(entry))
  }
}

/** Number of leading tokens that two sequences share. */
export function shared(a: Int32Array, b: Int32Array): number {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index++) if (a[index] !== b[index]) return index
  return length
}

/** Extends a hash over `tokens[from, to)`: FNV-1a's mixing over 32-bit tokens, with a final stir against short cycles. */
function chain(hash: number, tokens: Int32Array, from: number, to: number): number {
  let h = hash ^ 0x811c9dc5
  for (let index = from; index < to; index++) {
    h = Math.imul(h ^ (tokens[index] as number), 0x01000193)
    h ^= h >>> 15
  }
  return h | 0
}
