/**
 * Finds what llama.cpp's grammar parser would refuse (llama-grammar.cpp). The binding parses a grammar in its native
 * thread, where a refusal ends the process, and so does a grammar that leads to a place where no token fits. Both are
 * what a JSON schema of a client can make: `maxItems: 100000`, or a minimum above the maximum.
 */

/** llama.cpp's bound of repetitions, and of the rules that nested ones unroll to. */
const REPETITIONS_MAX = 2000

type Item =
  /** A literal or a class; `dead` when no character fits it. */
  | { readonly kind: 'text'; readonly empty: boolean; readonly dead: boolean }
  | { readonly kind: 'rule'; readonly name: string }
  | { readonly kind: 'group'; readonly choices: readonly Item[][] }
  | { readonly kind: 'optional'; readonly item: Item }

/** Why a grammar in GBNF cannot be used; undefined when it can. */
export function grammarFault(grammar: string): string | undefined {
  let rules: ReadonlyMap<string, Item[][]>
  try {
    rules = new GrammarReader(grammar).read()
  } catch (error) {
    return error instanceof GrammarError ? error.message : String(error)
  }
  const missing = missingRule(rules)
  if (missing !== undefined) return `the rule "${missing}" does not exist`
  if (!rules.has('root')) return 'there is no rule "root"'
  const dead = deadEnd(rules)
  if (dead !== undefined) return 'no text can satisfy it'
  const looping = leftRecursive(rules)
  return looping === undefined ? undefined : `the rule "${looping}" begins with itself`
}

class GrammarError extends Error {}

/** Reads GBNF and counts what repetitions unroll to, the way llama.cpp does. */
class GrammarReader {
  readonly #text: string
  #at = 0
  readonly #names = new Set<string>()
  #groups = 0

  constructor(text: string) {
    this.#text = text
  }

  read(): Map<string, Item[][]> {
    const rules = new Map<string, Item[][]>()
    this.#space(true)
    while (this.#at < this.#text.length) {
      const name = this.#name()
      this.#space(false)
      this.#expect('::=')
      this.#space(true)
      rules.set(name, this.#choices(false))
      this.#space(true)
    }
    return rules
  }

  #choices(nested: boolean): Item[][] {
    const choices = [this.#sequence(nested)]
    while (this.#text[this.#at] === '|') {
      this.#at++
      this.#space(true)
      choices.push(this.#sequence(nested))
    }
    return choices
  }

  #sequence(nested: boolean): Item[] {
    const items: Item[] = []
    /** Rules that the last item unrolled to so far. */
    let unrolled = 1
    for (;;) {
      const rest = this.#text[this.#at]
      if (rest === '"') {
        items.push(this.#literal())
        unrolled = 1
      } else if (rest === '[') {
        items.push(this.#class())
        unrolled = 1
      } else if (rest === '.') {
        this.#at++
        items.push({ kind: 'text', empty: false, dead: false })
        unrolled = 1
      } else if (rest === '<' || (rest === '!' && this.#text[this.#at + 1] === '<')) {
        this.#at = this.#text.indexOf('>', this.#at) + 1
        if (this.#at === 0) throw new GrammarError('a token is not closed')
        items.push({ kind: 'text', empty: false, dead: false })
        unrolled = 1
      } else if (rest === '(') {
        this.#at++
        this.#space(true)
        const before = this.#symbols()
        this.#groups++
        items.push({ kind: 'group', choices: this.#choices(true) })
        this.#expect(')')
        unrolled = Math.max(1, this.#symbols() - before)
      } else if (rest !== undefined && /[a-zA-Z0-9_-]/.test(rest)) {
        items.push({ kind: 'rule', name: this.#name() })
        unrolled = 1
      } else if (rest === '*' || rest === '+' || rest === '?' || rest === '{') {
        unrolled = this.#repeat(items, unrolled)
      } else {
        return items
      }
      this.#space(nested)
    }
  }

  #repeat(items: Item[], unrolled: number): number {
    const item = items.pop()
    if (item === undefined) throw new GrammarError('a repetition has nothing to repeat')
    const sign = this.#text[this.#at++]
    let least = sign === '+' ? 1 : 0
    let most = sign === '?' ? 1 : Number.POSITIVE_INFINITY
    if (sign === '{') {
      const bounds = /\s*(\d+)\s*(,)?\s*(\d+)?\s*\}/y
      bounds.lastIndex = this.#at
      const found = bounds.exec(this.#text)
      if (found === null) throw new GrammarError('the bounds of a repetition cannot be read')
      this.#at = bounds.lastIndex
      least = Number(found[1])
      most = found[2] === undefined ? least : found[3] === undefined ? Number.POSITIVE_INFINITY : Number(found[3])
    }
    if (most < least) throw new GrammarError(`a minimum of ${least} is above its maximum of ${most}`)
    const total = Number.isFinite(most) && most > 0 ? most : Math.max(1, least)
    if (total > REPETITIONS_MAX || unrolled * total >= REPETITIONS_MAX) {
      throw new GrammarError(`repetitions add up to ${unrolled * total}; they must stay under ${REPETITIONS_MAX}`)
    }
    // Each optional repetition becomes a rule of its own.
    this.#groups += Number.isFinite(most) ? most - least : 1
    items.push(least === 0 ? { kind: 'optional', item } : item)
    return unrolled * total
  }

  #literal(): Item {
    let empty = true
    for (this.#at++; this.#text[this.#at] !== '"'; this.#at++) {
      if (this.#at >= this.#text.length) throw new GrammarError('a text is not closed')
      if (this.#text[this.#at] === '\\') this.#at++
      empty = false
    }
    this.#at++
    return { kind: 'text', empty, dead: false }
  }

  #class(): Item {
    this.#at++
    const negated = this.#text[this.#at] === '^'
    if (negated) this.#at++
    let fits = false
    while (this.#text[this.#at] !== ']') {
      const from = this.#character()
      if (this.#text[this.#at] === '-' && this.#text[this.#at + 1] !== ']') {
        this.#at++
        if (this.#character() >= from) fits = true
      } else {
        fits = true
      }
    }
    this.#at++
    return { kind: 'text', empty: false, dead: !negated && !fits }
  }

  /** The code point of the next character of a class. */
  #character(): number {
    if (this.#at >= this.#text.length) throw new GrammarError('a class of characters is not closed')
    if (this.#text[this.#at] !== '\\') {
      const point = this.#text.codePointAt(this.#at) as number
      this.#at += point > 0xffff ? 2 : 1
      return point
    }
    const sign = this.#text[this.#at + 1] ?? ''
    const digits = { x: 2, u: 4, U: 8 }[sign]
    const named = { t: 9, r: 13, n: 10 }[sign]
    this.#at += 2 + (digits ?? 0)
    if (digits !== undefined) return Number.parseInt(this.#text.slice(this.#at - digits, this.#at), 16)
    return named ?? sign.codePointAt(0) ?? 0
  }

  #name(): string {
    const name = /[a-zA-Z0-9_-]+/y
    name.lastIndex = this.#at
    const found = name.exec(this.#text)
    if (found === null)
      throw new GrammarError(`it cannot be read at ${JSON.stringify(this.#text.slice(this.#at, this.#at + 20))}`)
    this.#at = name.lastIndex
    this.#names.add(found[0])
    return found[0]
  }

  #symbols(): number {
    return this.#names.size + this.#groups
  }

  #expect(text: string): void {
    if (!this.#text.startsWith(text, this.#at)) throw new GrammarError(`"${text}" is missing`)
    this.#at += text.length
  }

  #space(lines: boolean): void {
    const space = lines ? /(?:[ \t\r\n]|#[^\r\n]*)*/y : /(?:[ \t]|#[^\r\n]*)*/y
    space.lastIndex = this.#at
    space.exec(this.#text)
    this.#at = space.lastIndex
  }
}

function* itemsOf(choices: readonly Item[][]): Generator<Item> {
  for (const item of choices.flat()) {
    yield item
    if (item.kind === 'group') yield* itemsOf(item.choices)
    if (item.kind === 'optional') yield* itemsOf([[item.item]])
  }
}

function missingRule(rules: ReadonlyMap<string, Item[][]>): string | undefined {
  for (const choices of rules.values()) {
    for (const item of itemsOf(choices)) if (item.kind === 'rule' && !rules.has(item.name)) return item.name
  }
  return undefined
}

/** A rule that can be reached and never be finished: sampling would get stuck in it. */
function deadEnd(rules: ReadonlyMap<string, Item[][]>): string | undefined {
  const finishing = new Set<string>()
  const finishes = (item: Item): boolean => {
    switch (item.kind) {
      case 'text':
        return !item.dead
      case 'rule':
        return finishing.has(item.name)
      case 'group':
        return item.choices.some(choice => choice.every(finishes))
      case 'optional':
        return true
    }
  }
  for (let grew = true; grew; ) {
    grew = false
    for (const [name, choices] of rules) {
      if (finishing.has(name) || !choices.some(choice => choice.every(finishes))) continue
      finishing.add(name)
      grew = true
    }
  }
  const reached = new Set(['root'])
  for (const name of reached) {
    for (const item of itemsOf(rules.get(name) ?? [])) {
      if (item.kind === 'rule') reached.add(item.name)
      if (item.kind === 'text' && item.dead) return name
    }
    if (!finishing.has(name)) return name
  }
  return undefined
}

/** A rule that can come to itself without reading a character. */
function leftRecursive(rules: ReadonlyMap<string, Item[][]>): string | undefined {
  const nullable = new Set<string>()
  const empty = (item: Item): boolean => {
    switch (item.kind) {
      case 'text':
        return item.empty
      case 'rule':
        return nullable.has(item.name)
      case 'group':
        return item.choices.some(choice => choice.every(empty))
      case 'optional':
        return true
    }
  }
  for (let grew = true; grew; ) {
    grew = false
    for (const [name, choices] of rules) {
      if (nullable.has(name) || !choices.some(choice => choice.every(empty))) continue
      nullable.add(name)
      grew = true
    }
  }
  const first = (choices: readonly Item[][]): string[] => {
    const names: string[] = []
    for (const choice of choices) {
      for (const item of choice) {
        if (item.kind === 'rule') names.push(item.name)
        if (item.kind === 'group') names.push(...first(item.choices))
        if (item.kind === 'optional') names.push(...first([[item.item]]))
        if (!empty(item)) break
      }
    }
    return names
  }
  const state = new Map<string, 'open' | 'done'>()
  const visit = (name: string): string | undefined => {
    if (state.get(name) === 'open') return name
    if (state.get(name) === 'done') return undefined
    state.set(name, 'open')
    for (const next of first(rules.get(name) ?? [])) {
      const found = visit(next)
      if (found !== undefined) return found
    }
    state.set(name, 'done')
    return undefined
  }
  for (const name of rules.keys()) {
    const found = visit(name)
    if (found !== undefined) return found
  }
  return undefined
}
