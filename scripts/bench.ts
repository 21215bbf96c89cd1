/** `npm run bench -- <name> [--small]` runs one of the project's benchmarks; without a name it lists them. */
import { spawnSync } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const [name, ...rest] = process.argv.slice(2)
const large = new Map(globSync('bench/*/run.ts', { cwd: root }).map(file => [basename(dirname(file)), file]))
const small = new Map(globSync('src/**/*.bench.ts', { cwd: root }).map(file => [basename(file, '.bench.ts'), file]))
const file = name === undefined ? undefined : (large.get(name) ?? small.get(name))

if (file === undefined || !existsSync(resolve(root, file))) {
  const list = [...large, ...small].map(([each, path]) => `  ${each.padEnd(16)} ${path}`).join('\n')
  process.stderr.write(
    `${name === undefined ? '' : `There is no benchmark ${JSON.stringify(name)}.\n`}npm run bench -- <name> [--small]\n\n${list}\n`,
  )
  process.exit(name === undefined ? 0 : 2)
}
process.exit(spawnSync(process.execPath, [resolve(root, file), ...rest], { cwd: root, stdio: 'inherit' }).status ?? 1)
