import { stringify } from 'yaml'
import { ENV_OTHER } from './layer.ts'
import { allowedText, CONFIG_NODE, ENV_SHORT, type SchemaNode, SETTINGS, sectionOf } from './settings.ts'

const WIDTH = 100

/** The text of config.example.yaml: every setting at its default, each under its description. Nothing in it changes anything. */
export function renderExample(): string {
  const lines = [
    '# Every setting of Headrace at its default. Copy what you want to change into config.yaml in the home',
    '# (~/.headrace), or name your file with --config or HEADRACE_CONFIG. The environment goes over the file',
    '# (HEADRACE_SERVER_PORT and so on), flags go over both (--set server.port=8081).',
    '# Generated from src/config/schema.ts.',
  ]
  for (const [key, node] of Object.entries(CONFIG_NODE.properties ?? {})) {
    lines.push('', ...entry(key, node, 0))
  }
  return `${lines.join('\n')}\n`
}

function entry(key: string, node: SchemaNode, depth: number): string[] {
  const indent = '  '.repeat(depth)
  const comment = (text: string) => wrapped(text, WIDTH - indent.length - 2).map(line => `${indent}# ${line}`)
  if (node.properties !== undefined) {
    const inner = Object.entries(node.properties).flatMap(([name, child], index) => [
      ...(index === 0 || depth > 0 ? [] : ['']),
      ...entry(name, child, depth + 1),
    ])
    return [...comment(node.description ?? ''), `${indent}${key}:`, ...inner]
  }
  const lines = [...comment(`${node.description ?? ''} ${bounds(node)}`), `${indent}${key}: ${inline(node.default)}`]
  if (node.sample !== undefined) lines.push(`${indent}# ${key}: ${node.sample}`)
  if (key === 'upstreams') lines.push(...upstreamSample(node).map(line => `${indent}# ${line}`))
  return lines
}

/** A commented upstream: required fields with a plausible value, the others at their default. */
function upstreamSample(list: SchemaNode): string[] {
  const plausible: Record<string, string> = {
    id: 'vllm',
    baseUrl: 'http://10.0.0.7:8000/v1',
    allowPrivate: 'true',
    model: 'deepseek-v4-flash',
    name: 'deepseek-ai/DeepSeek-V4-Flash',
    contextTokens: '131072',
    price: '{input: "0.14", cachedInput: "0.03", output: "0.28"}',
  }
  const fields = (node: SchemaNode, first: string, rest: string): string[] =>
    Object.entries(node.properties ?? {}).flatMap(([key, child], index) => {
      const lead = index === 0 ? first : rest
      if (key === 'models') return [`${lead}models:`, ...fields(child.items ?? {}, `${rest}  - `, `${rest}    `)]
      const value = plausible[key] ?? inline(child.properties === undefined ? child.default : defaultsOf(child))
      return [`${lead}${key}: ${value}  # ${child.description ?? ''}`]
    })
  return ['upstreams:', ...fields(list.items ?? {}, '  - ', '    ')]
}

function defaultsOf(node: SchemaNode): unknown {
  if (node.properties === undefined) return node.default
  return Object.fromEntries(Object.entries(node.properties).map(([key, child]) => [key, defaultsOf(child)]))
}

function inline(value: unknown): string {
  return stringify(value ?? null, { collectionStyle: 'flow', lineWidth: 0, flowCollectionPadding: false }).trim()
}

function bounds(node: SchemaNode): string {
  const unit = node.unit === undefined ? '' : ` (${node.unit})`
  return `Allowed: ${allowedText(node)}${unit}.`
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = ['']
  for (const word of text.trim().split(/\s+/)) {
    const line = lines.at(-1) ?? ''
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines
}

/** The Markdown of docs/reference/config.md. */
export function renderReference(): string {
  const lines = [
    '# Configuration',
    '',
    'Defaults < file < environment < flags. The file is `--config`, else `HEADRACE_CONFIG`, else `config.yaml` in the home when it is there. Every setting can be given as `--set section.setting=value`; the most usual have flags of their own (`--home`, `--host`, `--port`). Lists of names are separated by commas in the environment; anything with structure is written as YAML. `headrace config check` tells what is wrong, with file and line; `headrace config show` prints the configuration in force and where each value came from.',
    '',
    'This page is generated from `src/config/schema.ts`.',
  ]
  for (const [section, node] of Object.entries(CONFIG_NODE.properties ?? {})) {
    lines.push(
      '',
      `## ${section}`,
      '',
      node.description ?? '',
      '',
      '| Setting | Default | Allowed | Environment | Meaning |',
      '| --- | --- | --- | --- | --- |',
    )
    for (const [path, setting] of SETTINGS) {
      if (setting.path[0] === section) lines.push(row(path, setting.node, setting.env))
    }
    for (const [path, { path: steps, node: list }] of SETTINGS) {
      if (steps[0] === section && list.items?.properties !== undefined)
        lines.push(...itemTables(`${path}[]`, list.items))
    }
  }
  lines.push('', '## Environment', '', '| Variable | Meaning |', '| --- | --- |')
  for (const [name, path] of Object.entries(ENV_SHORT))
    lines.push(`| \`${name}\` | Short for \`${SETTINGS.get(path)?.env}\`. |`)
  for (const [name, meaning] of Object.entries(ENV_OTHER)) lines.push(`| \`${name}\` | ${meaning} |`)
  return `${lines.join('\n')}\n`
}

function row(path: string, node: SchemaNode, env: string): string {
  const fallback = node.default === undefined ? '' : `\`${inline(node.default)}\``
  const unit = node.unit === undefined ? '' : ` (${node.unit})`
  return `| \`${path}\` | ${fallback} | ${allowedText(node)}${unit} | ${env === '' ? '' : `\`${env}\``} | ${node.description ?? ''} |`.replaceAll(
    '  ',
    ' ',
  )
}

function itemTables(path: string, node: SchemaNode): string[] {
  const lines = ['', `### ${path}`, '', '| Setting | Default | Allowed | Meaning |', '| --- | --- | --- | --- |']
  const nested: string[] = []
  const rows = (prefix: string, inside: SchemaNode) => {
    for (const [key, child] of Object.entries(inside.properties ?? {})) {
      if (child.items?.properties !== undefined) nested.push(...itemTables(`${path}.${prefix}${key}[]`, child.items))
      const fallback = child.default === undefined ? 'required' : `\`${inline(child.default)}\``
      const section = sectionOf(child)
      if (child.properties === undefined) {
        const unit = child.unit === undefined ? '' : ` (${child.unit})`
        const allowed = section === null ? allowedText(child) : `a section, or null`
        lines.push(`| \`${prefix}${key}\` | ${fallback} | ${allowed}${unit} | ${child.description ?? ''} |`)
      }
      if (section !== null) rows(`${prefix}${key}.`, section)
    }
  }
  rows('', node)
  return [...lines, ...nested]
}
