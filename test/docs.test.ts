import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, relative, resolve } from 'node:path'
import { test } from 'node:test'
import type { Command } from 'commander'
import { clientOpenApi } from '../src/api/app.ts'
import { COMMANDS } from '../src/cli/commands.ts'
import { processIo } from '../src/cli/io.ts'
import { buildProgram } from '../src/cli/program.ts'
import { loadConfig } from '../src/config/load.ts'
import { CONFIG_NODE, nodeAt } from '../src/config/settings.ts'
import { ERRORS } from '../src/errors.ts'
import { methodsOf, routeOf } from '../src/gateway/routes.ts'
import { PROTOCOLS } from '../src/protocols/protocols.ts'

/** What the documents promise exists: files, commands, flags, settings, routes, headers, metrics, error codes. */

const root = resolve(import.meta.dirname, '..')
const documents = globSync(['*.md', 'docs/**/*.md'], { cwd: root }).sort()
/** What people read to use the program; the others may also speak of what was, or of what is not here yet. */
const manuals = documents.filter(file => /^(README|CHANGELOG|AGENTS)\.md$|^docs\/(start|guides|concepts)/.test(file))
const text = (file: string) => readFileSync(resolve(root, file), 'utf8')

interface Block {
  readonly language: string
  readonly body: string
}

function blocksOf(markdown: string): Block[] {
  return [...markdown.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language = '', body = '']) => ({
    language,
    body,
  }))
}

/** What stands between backticks outside of blocks. */
function spansOf(markdown: string): string[] {
  const prose = markdown.replaceAll(/^```[\s\S]*?^```$/gm, '')
  return [...prose.matchAll(/`([^`]+)`/g)].map(match => match[1] as string)
}

/** Collects what is wrong in each document, so that one run tells all of it. */
function check(files: readonly string[], wrongIn: (markdown: string, file: string) => Iterable<string>): void {
  assert.notEqual(files.length, 0)
  assert.deepEqual(
    files.flatMap(file => [...wrongIn(text(file), file)].map(what => `${file}: ${what}`)),
    [],
  )
}

/** The anchor that GitHub makes of a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(/\s/g, '-')
}

test('links lead somewhere', () => {
  check(documents, function* (markdown, file) {
    const prose = markdown.replaceAll(/^```[\s\S]*?^```$/gm, '').replaceAll(/`[^`]*`/g, '')
    for (const [, target = ''] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue
      const [path = '', anchor] = target.split('#')
      const full = path === '' ? resolve(root, file) : resolve(root, dirname(file), path)
      if (relative(root, full).startsWith('..') || !existsSync(full)) yield `${target} is not there`
      else if (anchor !== undefined) {
        const headings = [...readFileSync(full, 'utf8').matchAll(/^#+ (.*)$/gm)].map(match => anchorOf(match[1] ?? ''))
        if (!headings.includes(anchor)) yield `${target}: no such heading`
      }
    }
  })
})

test('every guide can be reached from the README', () => {
  const linked = new Set([...text('README.md').matchAll(/\]\(([^)#\s]+)/g)].map(match => match[1]))
  assert.deepEqual(
    manuals.filter(file => /^docs\/(start|guides)/.test(file) && !linked.has(file)),
    [],
  )
})

test('rows of a table have as many cells as its head', () => {
  check(documents, function* (markdown) {
    let columns = 0
    for (const line of markdown.split('\n')) {
      const cells = line.startsWith('|') ? line.replaceAll('\\|', '').split('|').length - 2 : 0
      if (columns > 0 && cells > 0 && cells !== columns) yield `${cells} instead of ${columns} cells: ${line}`
      columns = cells
    }
  })
})

test('commands and their flags exist', async () => {
  const programs = new Map<string, Command>()
  for (const entry of COMMANDS) {
    const program = await buildProgram(processIo(), entry)
    programs.set(entry.name, program.commands.find(command => command.name() === entry.name) as Command)
    programs.set('', program)
  }
  check(manuals, function* (markdown) {
    const lines = [...blocksOf(markdown).flatMap(block => block.body.split('\n')), ...spansOf(markdown)]
    for (const line of lines) {
      const [, said] = /(?:^|\s)(?:npx )?headrace ([^#|]*)/.exec(line.trim()) ?? []
      // `headrace` as a folder's name is followed by other things than a command.
      if (said === undefined || !/^(npx )?headrace /.test(line.trim())) continue
      const [name = '', second = '', ...rest] = said.trim().split(/\s+/)
      if (name.startsWith('<')) continue
      const flagsSaid = [name, second, ...rest]
        .filter(word => /^-/.test(word))
        .map(word => word.split('=')[0] as string)
      const command = programs.get(name.startsWith('-') ? '' : name)
      if (command === undefined) {
        yield `there is no command ${name}: ${line}`
        continue
      }
      const under = command.commands.find(each => each.name() === second && name !== '')
      if (under === undefined && !name.startsWith('-') && command.commands.length > 0 && /^[a-z]/.test(second)) {
        yield `${name} has no ${second}: ${line}`
        continue
      }
      const known = [under, command, programs.get('')].flatMap(each => each?.options ?? [])
      for (const flag of flagsSaid) {
        if (flag !== '--help' && flag !== '-h' && !known.some(option => option.long === flag || option.short === flag))
          yield `${flag} is no flag: ${line}`
      }
    }
  })
})

test('settings exist', () => {
  const sections = Object.keys(CONFIG_NODE.properties ?? {})
  check(manuals, function* (markdown) {
    for (const span of spansOf(markdown)) {
      const [, path = ''] =
        /^(?:--set )?((?:[a-z][A-Za-z]*)(?:\[\])?(?:\.[a-z][A-Za-z]*(?:\[\])?)+)(?:[=:].*)?$/.exec(span) ?? []
      const steps = path.split('.').flatMap(step => (step.endsWith('[]') ? [step.slice(0, -2), 0] : [step]))
      // Names of files (`models.ts`), of classes and of answers (`usage.notice`) look alike and are not meant.
      if (!sections.includes(String(steps[0])) || /\.(ts|md|ya?ml|json)$/.test(path)) continue
      if (nodeAt(steps) === null) yield `${path} is no setting`
    }
  })
})

test('examples of configuration load', () => {
  const sections = new Set(Object.keys(CONFIG_NODE.properties ?? {}))
  let examples = 0
  check(manuals, function* (markdown) {
    for (const { language, body } of blocksOf(markdown)) {
      const first = /^(\w+):/m.exec(body)?.[1] ?? ''
      if (language !== 'yaml' || !sections.has(first)) continue
      examples++
      try {
        loadConfig({
          flags: { config: '/etc/headrace.yaml' },
          env: {},
          userHome: '/home/ada',
          cwd: '/',
          readFile: path => (path === '/etc/headrace.yaml' ? body : null),
        })
      } catch (error) {
        yield (error as Error).message
      }
    }
  })
  assert.ok(examples >= 3)
})

test('routes exist', () => {
  const { paths } = clientOpenApi(PROTOCOLS) as { paths: Record<string, Record<string, object>> }
  const unnamed = (path: string) => path.replaceAll(/\{\w+\}/g, '{}')
  const byShape = new Map(Object.entries(paths).map(([path, methods]) => [unnamed(path), methods]))
  const described = (path: string) => byShape.get(unnamed(path))
  check(manuals, function* (markdown) {
    for (const span of spansOf(markdown)) {
      const [, method = '', path = ''] = /^(GET|POST|PUT|PATCH|DELETE) (\/\S*)$/.exec(span) ?? []
      if (path === '') continue
      if (described(path)?.[method.toLowerCase()] !== undefined) continue
      const route = routeOf(path.replaceAll(/\{(\w+)\}/g, '$1'))
      if (route === undefined) yield `${span} is not served`
      else if (route.kind !== 'control' && !methodsOf(route).includes(method)) yield `${span}: ${methodsOf(route)} only`
    }
  })
})

test('headers, metrics and error codes exist', () => {
  const source = globSync('src/**/*.ts', { cwd: root })
    .filter(file => !file.endsWith('.test.ts'))
    .map(text)
    .join('\n')
  check(manuals, function* (markdown) {
    for (const span of spansOf(markdown)) {
      if (/^x-[a-z-]+$/.test(span) && !source.includes(`'${span}'`)) yield `nothing sends or reads ${span}`
      if (/^(headrace|gen_ai)_[a-z_]+$/.test(span) && !source.includes(`'${span}'`)) yield `there is no metric ${span}`
    }
  })
  check(['docs/guides/api.md', 'docs/guides/money.md'], function* (markdown) {
    const rows = markdown.matchAll(/^\| `([a-z]+_[a-z_]+)` \| (\d{3}) \|/gm)
    for (const [, code = '', status] of rows) {
      const row = ERRORS[code as keyof typeof ERRORS]
      if (row === undefined) yield `there is no error ${code}`
      else if (row.status !== Number(status)) yield `${code} has status ${row.status}`
    }
  })
})
