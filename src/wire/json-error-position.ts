/**
 * Position (UTF-16 index) of the first character that cannot belong to a JSON text, or the length of the text when it
 * ends too early. Node's own message gives the position only for some faults, and quotes the text for the others.
 * Only for text that `JSON.parse` refused, nested no deeper than its caller checked.
 */
export function jsonErrorPosition(text: string): number {
  const scan = new Scan(text)
  try {
    scan.value()
    scan.space()
  } catch (fault) {
    if (fault !== FAULT) throw fault
  }
  return scan.at
}

const FAULT = Symbol('fault')
const NUMBER_PARTS = [/-?(?:0|[1-9]\d*)/y, /(?:\.\d+)?/y, /(?:[eE][+-]?\d+)?/y]

class Scan {
  at = 0
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  value(): void {
    this.space()
    const char = this.#text[this.at]
    if (char === '{') this.#list('}', true)
    else if (char === '[') this.#list(']', false)
    else if (char === '"') this.#string()
    else if (char === 't') this.#word('true')
    else if (char === 'f') this.#word('false')
    else if (char === 'n') this.#word('null')
    else this.#number()
  }

  space(): void {
    while (' \t\n\r'.includes(this.#text[this.at] ?? 'x')) this.at++
  }

  #list(close: string, keyed: boolean): void {
    this.at++
    this.space()
    if (this.#text[this.at] === close) {
      this.at++
      return
    }
    while (true) {
      this.space()
      if (keyed) {
        this.#string()
        this.space()
        this.#word(':')
      }
      this.value()
      this.space()
      if (this.#text[this.at] === close) break
      this.#word(',')
    }
    this.at++
  }

  #string(): void {
    this.#word('"')
    while (true) {
      const char = this.#text[this.at]
      if (char === undefined || char < ' ') throw FAULT
      this.at++
      if (char === '"') return
      if (char === '\\') this.#escape()
    }
  }

  #escape(): void {
    const char = this.#text[this.at]
    if (char === undefined || !'"\\/bfnrtu'.includes(char)) throw FAULT
    this.at++
    if (char !== 'u') return
    for (let digit = 0; digit < 4; digit++) {
      if (!/[0-9a-fA-F]/.test(this.#text[this.at] ?? '')) throw FAULT
      this.at++
    }
  }

  #number(): void {
    for (const [i, part] of NUMBER_PARTS.entries()) {
      part.lastIndex = this.at
      const match = part.exec(this.#text)
      if (match === null) {
        if (i === 0 && this.#text[this.at] === '-') this.at++
        throw FAULT
      }
      this.at += match[0].length
    }
  }

  #word(word: string): void {
    for (const char of word) {
      if (this.#text[this.at] !== char) throw FAULT
      this.at++
    }
  }
}
