/** `npm run build`: JavaScript for publishing in `dist/`, tried out once. Developing and testing need no build. */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
rmSync(resolve(root, 'dist'), { recursive: true, force: true })
run(resolve(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json'])
run(process.execPath, ['dist/main.js', 'version'])

function run(command: string, args: readonly string[]): void {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
