import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { operatorTokenPath } from '../../config/home-paths.ts'
import type { LoadedConfig } from '../../config/load.ts'
import { broken, type Finding, note, ok } from './finding.ts'

const OTHERS_MASK = 0o077

/** The home: there, ours, and closed to others. */
export function homeFindings({ config, file, warnings }: LoadedConfig): Finding[] {
  const { home } = config
  const found: Finding[] = [
    ok(
      'config',
      file === null
        ? 'No configuration file; everything is at its default or from environment and flags.'
        : `Configuration from ${file}`,
      { file },
    ),
    ...warnings.map(warning => note('config', warning)),
  ]
  if (!existsSync(home)) {
    const parent = existingParent(home)
    if (!writable(parent))
      found.push(
        broken('home', `${home} is not there, and ${parent} cannot be written to.`, 'Choose another home with --home.'),
      )
    else found.push(note('home', `${home} is not there yet.`, 'The first start creates it: npx headrace serve'))
    return found
  }
  const stats = statSync(home)
  if (!stats.isDirectory())
    return [...found, broken('home', `${home} is not a folder.`, 'Choose another home with --home.')]
  if (!writable(home))
    return [
      ...found,
      broken(
        'home',
        `${home} cannot be written to by this user.`,
        `Give it to the user that runs Headrace: chown -R $USER ${home}`,
      ),
    ]
  // Windows has no such bits.
  const open =
    process.platform === 'win32'
      ? []
      : [home, operatorTokenPath(home), join(home, 'pepper')].filter(
          path => existsSync(path) && (statSync(path).mode & OTHERS_MASK) !== 0,
        )
  for (const path of open) {
    found.push(
      broken(
        'home',
        `${path} is open to other users (mode ${(statSync(path).mode & 0o777).toString(8)}).`,
        `Run: chmod ${path === home ? '700' : '600'} ${path}`,
      ),
    )
  }
  if (open.length === 0)
    found.push(ok('home', `${home}, closed to other users`, { home, mode: (stats.mode & 0o777).toString(8) }))
  return found
}

function existingParent(path: string): string {
  const parent = dirname(path)
  return existsSync(parent) || parent === path ? parent : existingParent(parent)
}

function writable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK)
    return true
  } catch {
    return false
  }
}
