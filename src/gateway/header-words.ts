/** Longest value of a header that tells of something in words. */
const WORDS_CHARS_MAX = 1024

/** Words for a header: ASCII, and not too many. */
export function shown(words: string): string {
  return words.replace(/[^\x20-\x7e]/g, '?').slice(0, WORDS_CHARS_MAX)
}

/** Names for a header; where they are too many, how many are left out. */
export function listed(names: readonly string[]): string {
  let text = ''
  for (const [i, name] of names.entries()) {
    const more = shown(i === 0 ? name : `, ${name}`)
    const rest = `, and ${names.length - i} more`
    if (text.length + more.length + rest.length > WORDS_CHARS_MAX) return text + rest
    text += more
  }
  return text
}
