const SLASH = 0x2f

/**
 * A text without the slashes at its end. In time linear in its length: the pattern for it tries anew from every slash, which for a long
 * row of them that something follows takes seconds.
 */
export function withoutEndSlashes(text: string): string {
  let end = text.length
  while (end > 0 && text.charCodeAt(end - 1) === SLASH) end--
  return text.slice(0, end)
}
