/**
 * Writes the files that are generated from the source: `npm run generate`. With `--check` nothing is written, and the exit
 * code is 1 when a file is stale.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { clientOpenApi } from '../src/api/app.ts'
import { renderExample, renderReference } from '../src/config/example.ts'
import { controlOpenApi } from '../src/control/app.ts'
import { ERRORS } from '../src/errors.ts'
import { PROTOCOLS } from '../src/protocols/protocols.ts'

const ROOT = join(import.meta.dirname, '..')

/** Every generated file: its path from the root of the repository, and what makes its text. */
export const GENERATED: Readonly<Record<string, () => string>> = {
  'config.example.yaml': renderExample,
  'docs/reference/config.md': renderReference,
  'docs/reference/control-openapi.json': () => `${JSON.stringify(controlOpenApi(), null, 2)}\n`,
  'docs/reference/openapi.json': () => `${JSON.stringify(clientOpenApi(PROTOCOLS), null, 2)}\n`,
  'docs/reference/control-api.md': renderControlApi,
  'docs/reference/errors.md': renderErrors,
}

/** Paths of generated files that are missing or differ from what the source makes. */
export function staleFiles(): string[] {
  return Object.entries(GENERATED)
    .filter(([path, render]) => readIfAny(join(ROOT, path)) !== render())
    .map(([path]) => path)
}

function writeAll(): void {
  for (const path of staleFiles()) {
    mkdirSync(dirname(join(ROOT, path)), { recursive: true })
    writeFileSync(join(ROOT, path), (GENERATED[path] as () => string)())
    console.log(`wrote ${path}`)
  }
}

function renderErrors(): string {
  const rows = Object.entries(ERRORS).map(
    ([code, { status, type, retryable, cure }]) =>
      `| \`${code}\` | ${status} | \`${type}\` | ${retryable ? 'yes' : 'no'} | ${cure.replaceAll('|', '\\|')} |`,
  )
  return [
    '# Errors',
    '',
    'Every error that a client can get. The body is OpenAI\'s: `{"error": {"message", "type", "param", "code"}}`. The message',
    'says what was wrong this time, `param` names the field at fault, and the header `x-should-retry` says whether the same',
    'request may succeed when it is repeated. It says `false` also when the wait in `Retry-After` is longer than the minute that the',
    'official SDKs obey: told to repeat, they would do so within seconds.',
    '',
    '| Code | Status | Type | Retry | What to do |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n')
}

interface Operation {
  readonly operationId: string
  readonly summary: string
}

function renderControlApi(): string {
  const { paths } = controlOpenApi() as { paths: Record<string, Record<string, Operation>> }
  const rows = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(
      ([method, { operationId, summary }]) =>
        `| \`${method.toUpperCase()} ${path}\` | ${summary} | \`${operationId}\` |`,
    ),
  )
  return [
    '# Control plane API',
    '',
    'Changes the rules that requests are served by, and tells what was used. Every route but the description of the API itself',
    'wants `Authorization: Bearer <operator token>`; the token is the line in the file `operator-token` of the home.',
    'The full description, with every field, is [control-openapi.json](control-openapi.json) (OpenAPI 3.1), which a server',
    'answers at `/control/v1/openapi.json`. Errors are listed in [errors.md](errors.md).',
    '',
    '- Money is US dollars as a decimal string with at most 9 places (`"5.00"`). Prices are dollars per million tokens with at',
    '  most 6 places. Numbers are refused, so that no digit is lost on the way.',
    '- Times are RFC 3339; answers are in UTC.',
    '- Lists answer `data`, `has_more` and `next_cursor`; give `next_cursor` as `cursor` to get the next page.',
    '- A model id may hold `/`; in a path it is written `%2F`.',
    '- A field that is not known is refused, so that a mistyped name is not mistaken for a default.',
    '',
    '| Route | Does | Operation |',
    '| --- | --- | --- |',
    ...rows,
    '',
  ].join('\n')
}

function readIfAny(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

function main(): void {
  if (!process.argv.includes('--check')) {
    writeAll()
    return
  }
  const stale = staleFiles()
  if (stale.length === 0) return
  console.error(`Stale: ${stale.join(', ')}. Run: npm run generate`)
  process.exitCode = 1
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) main()
