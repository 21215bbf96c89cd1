import { stringEnd } from '../../../wire/json.ts'

const QUOTE = 0x22
const COLON = 0x3a
const BACKSLASH = 0x5c
const LOWER_U = 0x75

/**
 * One pass over the JSON bytes of a stream chunk that finds what a relay has to know, without parsing or decoding it:
 * measured on a usual chunk of 230 bytes, `JSON.parse` takes 0.9 µs, nine native searches for keys 2 µs, this 0.3 µs.
 *
 * Keys are recognised at any depth, so what it finds means "look closer", not "it is so". A key's bytes cannot occur
 * inside a string value, where its quotes would be escaped.
 */
export class ChunkScan {
  hasChoices = false
  /** `usage` with something other than null. */
  hasUsage = false
  /** `error` with something other than null. */
  hasError = false
  /** A `finish_reason` other than null. */
  hasFinish = false
  /** `tool_calls` or `function_call` with something other than null. */
  hasToolCalls = false
  /** Bytes of generated text (UTF-8 after unescaping): content, refusal, arguments, names. */
  textBytes = 0
  /** Bytes of reasoning; under both names it is the same text, counted once. */
  reasoningBytes = 0
  /** Range of the first `model` value without its quotes; -1 when there is none. */
  modelStart = -1
  modelEnd = -1
  /** Range of the values of `reasoning_content` and `reasoning`, quotes included; -1 when the key is missing. */
  reasoningContentStart = -1
  reasoningContentEnd = -1
  reasoningStart = -1
  reasoningEnd = -1

  /** Scans `start..end`; what an earlier scan found is forgotten. */
  scan(bytes: Buffer, start: number, end: number): void {
    this.hasChoices = false
    this.hasUsage = false
    this.hasError = false
    this.hasFinish = false
    this.hasToolCalls = false
    this.textBytes = 0
    this.reasoningBytes = 0
    this.modelStart = -1
    this.reasoningContentStart = -1
    this.reasoningStart = -1
    for (let at = start; at < end; at++) {
      if (bytes[at] !== QUOTE) continue
      const keyStart = at + 1
      const keyEnd = stringEnd(bytes, keyStart)
      if (keyEnd === -1 || keyEnd >= end) return
      at = keyEnd
      const colon = skipSpace(bytes, keyEnd + 1, end)
      if (bytes[colon] !== COLON || colon >= end) continue
      const value = skipSpace(bytes, colon + 1, end)
      if (value >= end) return
      at = this.#key(bytes, keyStart, keyEnd - keyStart, value) - 1
    }
  }

  /** Looks at one key and its value; returns where the scan goes on. */
  #key(bytes: Buffer, key: number, length: number, value: number): number {
    switch (length) {
      case 4:
        if (isWord(bytes, key, 'text') || isWord(bytes, key, 'name')) return this.#text(bytes, value)
        return value
      case 5:
        if (isWord(bytes, key, 'model')) return this.#model(bytes, value)
        if (isWord(bytes, key, 'usage')) this.hasUsage ||= !isNull(bytes, value)
        else if (isWord(bytes, key, 'error')) this.hasError ||= !isNull(bytes, value)
        return value
      case 7:
        if (isWord(bytes, key, 'content') || isWord(bytes, key, 'refusal')) return this.#text(bytes, value)
        if (isWord(bytes, key, 'choices')) this.hasChoices = true
        return value
      case 9:
        if (isWord(bytes, key, 'arguments')) return this.#text(bytes, value)
        if (!isWord(bytes, key, 'reasoning')) return value
        this.reasoningStart = value
        this.reasoningEnd = this.#reasoning(bytes, value)
        return this.reasoningEnd
      case 10:
        if (isWord(bytes, key, 'tool_calls')) this.hasToolCalls ||= !isNull(bytes, value)
        return value
      case 13:
        if (isWord(bytes, key, 'finish_reason')) this.hasFinish ||= !isNull(bytes, value)
        else if (isWord(bytes, key, 'function_call')) this.hasToolCalls ||= !isNull(bytes, value)
        return value
      case 17:
        if (!isWord(bytes, key, 'reasoning_content')) return value
        this.reasoningContentStart = value
        this.reasoningContentEnd = this.#reasoning(bytes, value)
        return this.reasoningContentEnd
      default:
        return value
    }
  }

  #model(bytes: Buffer, value: number): number {
    if (this.modelStart !== -1 || bytes[value] !== QUOTE) return value
    const end = stringEnd(bytes, value + 1)
    if (end === -1) return value
    this.modelStart = value + 1
    this.modelEnd = end
    return end + 1
  }

  #text(bytes: Buffer, value: number): number {
    if (bytes[value] !== QUOTE) return value
    const end = stringEnd(bytes, value + 1)
    if (end === -1) return value
    this.textBytes += unescapedBytes(bytes, value + 1, end)
    return end + 1
  }

  /** End of the value. */
  #reasoning(bytes: Buffer, value: number): number {
    if (isNull(bytes, value)) return value + 4
    const textBytes = this.textBytes
    const end = this.#text(bytes, value)
    this.reasoningBytes = Math.max(this.reasoningBytes, this.textBytes - textBytes)
    this.textBytes = textBytes
    return end
  }
}

function skipSpace(bytes: Buffer, from: number, end: number): number {
  let at = from
  while (at < end && (bytes[at] as number) <= 0x20) at++
  return at
}

function isWord(bytes: Buffer, at: number, word: string): boolean {
  for (let i = 0; i < word.length; i++) if (bytes[at + i] !== word.charCodeAt(i)) return false
  return true
}

function isNull(bytes: Buffer, at: number): boolean {
  return isWord(bytes, at, 'null')
}

/** UTF-8 bytes that the JSON text of a string stands for. */
function unescapedBytes(bytes: Buffer, start: number, end: number): number {
  let count = 0
  for (let at = start; at < end; at++, count++) {
    if (bytes[at] !== BACKSLASH) continue
    at++
    if (bytes[at] !== LOWER_U) continue
    count += codeUnitBytes(bytes, at + 1) - 1
    at += 4
  }
  return count
}

/** A `\uXXXX` escape: 1 byte below U+0080, 2 below U+0800, else 3; half of a surrogate pair is half of its 4. */
function codeUnitBytes(bytes: Buffer, at: number): number {
  const unit = Number.parseInt(bytes.toString('latin1', at, at + 4), 16)
  if (unit < 0x80) return 1
  return unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 2 : 3
}
