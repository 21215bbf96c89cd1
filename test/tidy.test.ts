import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, relative, resolve } from 'node:path'
import { test } from 'node:test'

/** Conventions that would otherwise be sentences in a document. */

const root = resolve(import.meta.dirname, '..')
const sources = globSync('src/**/*.ts', { cwd: root }).sort()
/** Helpers of tests stand beside what they help to test, and are told by their names. */
const TEST_SUPPORT = /\.(test|bench)\.ts$|\/(test-support|testing|fake-store)\.ts$|^src\/testing\//
const production = sources.filter(file => !TEST_SUPPORT.test(file))
const text = (file: string) => readFileSync(resolve(root, file), 'utf8')

/** The part of the tree that a file belongs to: its folder under src, or its own name. */
function partOf(file: string): string {
  const [, first = '', ...rest] = file.split('/')
  return rest.length === 0 ? first : first
}

/** Files of the project that a file imports, statically, dynamically or as a type. */
function importsOf(file: string): string[] {
  return [...text(file).matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map(match =>
    relative(root, resolve(root, dirname(file), match[1] as string)),
  )
}

const LEAVES = ['std', 'errors.ts', 'inference', 'wire', 'ledger', 'pricing', 'gguf', 'translation']
const STAGES = ['protocols', 'admission', 'router', 'upstreams', 'settlement']

/** What each part may import beside itself; a part that is not named here may import nothing of the project. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  std: [],
  'errors.ts': [],
  inference: ['std', 'errors.ts'],
  wire: ['std', 'errors.ts', 'inference'],
  translation: ['std', 'errors.ts', 'inference', 'wire'],
  ledger: ['std', 'inference'],
  pricing: ['std', 'inference', 'ledger'],
  gguf: ['std'],
  config: ['ledger', 'pricing', 'std'],
  telemetry: LEAVES,
  protocols: [...LEAVES, 'config', 'telemetry'],
  admission: [...LEAVES, 'config', 'telemetry'],
  router: [...LEAVES, 'config', 'telemetry'],
  upstreams: [...LEAVES, 'config', 'telemetry'],
  settlement: [...LEAVES, 'config', 'telemetry'],
  api: [...LEAVES, 'admission', 'protocols', 'config', 'statements', 'files', 'batches'],
  files: LEAVES,
  batches: [...LEAVES, 'files'],
  gateway: [...LEAVES, ...STAGES, 'config', 'telemetry', 'egress'],
  engine: [...LEAVES, 'config', 'telemetry'],
  models: [...LEAVES, 'config'],
  payments: [...LEAVES, 'config'],
  egress: ['std'],
  webhooks: [...LEAVES, 'config', 'egress'],
  store: LEAVES,
  statements: LEAVES,
  control: [...LEAVES, 'config', 'statements'],
  simulation: LEAVES,
  prove: [...LEAVES, 'simulation'],
  cli: [...LEAVES, 'config', 'control', 'models', 'prove', 'statements', 'compose'],
  compose: [
    ...[...LEAVES, ...STAGES, 'config', 'telemetry', 'gateway', 'api', 'engine', 'models', 'store', 'control', 'cli'],
    ...['payments', 'webhooks', 'egress', 'files', 'batches'],
  ],
  'main.ts': ['cli'],
}

test('the import law holds', () => {
  const broken: string[] = []
  for (const file of production) {
    const part = partOf(file)
    const allowed = MAY_IMPORT[part]
    if (allowed === undefined) {
      broken.push(`${file} is in no part that the import law knows`)
      continue
    }
    for (const imported of importsOf(file)) {
      const other = partOf(imported)
      if (other !== part && !allowed.includes(other))
        broken.push(`${file} imports ${imported}: ${part} may import ${allowed.join(', ') || 'nothing'}`)
    }
  }
  assert.deepEqual(broken, [])
})

test('only the pipeline knows all stages', () => {
  const knowing = production.filter(file => {
    const parts = new Set(importsOf(file).map(partOf))
    return STAGES.every(stage => parts.has(stage))
  })
  assert.deepEqual(knowing, ['src/gateway/pipeline.ts'])
})

/** Constructs that are banned, with what to use instead; `except` are the files whose job it is. */
const BANNED: readonly { pattern: RegExp; where: RegExp; except?: RegExp; instead: string }[] = [
  {
    pattern: /\b(Date\.now|performance\.now|setTimeout|setInterval|Math\.random)\(/,
    where: /^src\/(ledger|pricing|router|admission|settlement|protocols|inference|wire|statements)\//,
    instead: 'time and chance are handed in (std/clock.ts)',
  },
  { pattern: /\bconsole\.\w+\(/, where: /^src\//, instead: 'the log (pino) or the command line’s output helpers' },
  {
    pattern: /parseFloat\(|toFixed\(/,
    where: /^src\/(ledger|pricing|settlement|admission|store|statements)\//,
    instead: 'integers: no float comes near money',
  },
  {
    pattern: /\b(deepseek|openrouter|deepinfra|vllm|sglang|anthropic)\b/i,
    where: /^src\/(gateway|router|admission|settlement|ledger|pricing|engine|statements)\/.*(?<!test)\.ts$/,
    except: /^src\/statements\/reconcile\/formats\//,
    instead: 'a capability; names of providers stay in upstreams/dialects, protocols and statements/reconcile/formats',
  },
  {
    pattern: /stripe/i,
    where: /^src\//,
    except: /^src\/(payments\/stripe|config)\/|^src\/(compose\/payments|api\/checklist)\.ts$/,
    instead: 'payment and provider; who it is stays in its folder, beside its settings and the composition',
  },
  {
    pattern: /^import (?!type\b).* from 'stripe'/,
    where: /^src\//,
    instead: 'import() where it is needed: it takes a tenth of a second and 40 MB to load',
  },
  {
    pattern: /process\.exit\(/,
    where: /^src\//,
    except: /^src\/(main\.ts|engine\/child\.ts|simulation\/sim-server\.ts)$/,
    instead: 'a thrown error or a returned exit code: main.ts owns it',
  },
  {
    pattern: /from 'node:sqlite'/,
    where: /^src\//,
    except: /^src\/store\//,
    instead: 'the store: the only folder that knows SQL',
  },
]

test('banned constructs have been replaced', () => {
  const found: string[] = []
  for (const file of production) {
    const lines = text(file).split('\n')
    for (const { pattern, where, except, instead } of BANNED) {
      if (!where.test(file) || except?.test(file)) continue
      for (const [i, line] of lines.entries()) {
        const code = line.replace(/^\s*(\*|\/\/|\/\*\*).*$/, '').replace(/\s\/\/ .*$/, '')
        if (pattern.test(code)) found.push(`${file}:${i + 1} ${line.trim()} — use ${instead}`)
      }
    }
  }
  assert.deepEqual(found, [])
})

test('exported functions, classes and types say what they are', () => {
  const silent: string[] = []
  for (const file of production) {
    const lines = text(file).split('\n')
    for (const [i, line] of lines.entries()) {
      if (!/^export (async )?(function|class|interface|abstract)\b/.test(line)) continue
      const before = lines[i - 1]?.trim() ?? ''
      if (!before.endsWith('*/') && !/^export (async )?function/.test(before))
        silent.push(`${file}:${i + 1} ${line.trim()}`)
    }
  }
  assert.deepEqual(silent, [])
})

test('the project speaks of itself alone', () => {
  const files = globSync(
    ['*.md', '*.json', '*.yaml', 'docs/**/*', 'src/**/*.ts', 'test/**/*.ts', 'scripts/*.ts', '.ci/run'],
    // Packages of clients are installed under test/conformance.
    { cwd: root, withFileTypes: true, exclude: entry => /^(node_modules|\.venv)$/.test(entry.name) },
  )
    .filter(entry => entry.isFile())
    .map(entry => relative(root, resolve(entry.parentPath, entry.name)))
  // Assembled so that this file does not find itself.
  const words = new RegExp(['/work' + '/(main|shared|.library)\\b', 'TO' + 'DO\\b', 'FIX' + 'ME\\b'].join('|'))
  const found = files.flatMap(file =>
    text(file)
      .split('\n')
      .flatMap((line, i) => (words.test(line) ? [`${file}:${i + 1} ${line.trim().slice(0, 120)}`] : [])),
  )
  assert.deepEqual(found, [])
})
