/**
 * Reads the text of one JSON string while it is being written, so that a reply inside JSON streams like any other.
 */
export interface JsonReply {
  /** Text of the string that became known. */
  push(json: string): string
  /** Whether the document is the reply that this reader reads; undefined while that is open. */
  readonly isReply: boolean | undefined
}

/** For documents of the form `{"<key>": "<text>"}`; anything else is not a reply. */
export function jsonReply(key: string): JsonReply {
  const opening = new RegExp(`^\\s*\\{\\s*"${key}"\\s*:\\s*"`)
  let json = ''
  /** Where the next undecoded character of the string is; -1 before the string began. */
  let at = -1
  let isReply: boolean | undefined
  let closed = false

  return {
    get isReply() {
      return isReply
    },
    push(more) {
      if (isReply === false || closed) return ''
      json += more
      if (at < 0) {
        const found = opening.exec(json)
        if (found === null) {
          // White space apart, the document must begin like the opening.
          const seen = json.replace(/\s/g, '')
          const wanted = `{"${key}":"`
          if (!wanted.startsWith(seen.slice(0, wanted.length))) isReply = false
          return ''
        }
        isReply = true
        at = found[0].length
      }
      let end = at
      while (end < json.length && json[end] !== '"') {
        if (json[end] !== '\\') {
          end++
          continue
        }
        const escapeLength = json[end + 1] === 'u' ? 6 : 2
        if (end + escapeLength > json.length) break
        // Half of a surrogate pair waits for the other.
        if (/^\\u[dD][89abAB]/.test(json.slice(end, end + 6)) && end + 12 > json.length) break
        end += escapeLength
      }
      const text = JSON.parse(`"${json.slice(at, end)}"`) as string
      closed = json[end] === '"'
      at = end
      return text
    },
  }
}
