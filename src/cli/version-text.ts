import { readFileSync } from 'node:fs'

/** The version of this package. */
export function versionText(): string {
  // Both src/cli and dist/cli are two folders below package.json; a bundle in dist is one.
  for (const path of ['../../package.json', '../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
      if (name === 'headrace') return version
    } catch {
      // Not here; the next place.
    }
  }
  return 'unknown'
}
