import { dirname, join, resolve } from 'node:path'
import type { z } from 'zod'
import { ConfigError, type ConfigIssue } from './config-error.ts'
import { ENV_OTHER, envSettings, type Layer, put, unknownVariables, valueFromText } from './layer.ts'
import { nearest } from './nearest.ts'
import { cautions, contradictions } from './relations.ts'
import { type Config, configSchema } from './schema.ts'
import { allowedText, ENV_SHORT, nodeAt, type SchemaNode, SETTINGS, sectionOf } from './settings.ts'
import { yamlLayer } from './yaml-layer.ts'

/** Flags that change the configuration, as typed. */
export interface ConfigFlags {
  readonly config?: string
  readonly home?: string
  readonly host?: string
  readonly port?: string
  /** `server.port=8081`, each. */
  readonly set?: readonly string[]
}

/** Where a configuration comes from. */
export interface ConfigSources {
  readonly flags: ConfigFlags
  readonly env: Readonly<Record<string, string | undefined>>
  /** The user's own folder: what `~` means. */
  readonly userHome: string
  /** What relative paths in flags and environment are relative to. */
  readonly cwd: string
  /** The text of a file; null when there is none. Throws when it cannot be read. */
  readFile(path: string): string | null
}

/** A configuration and where it came from. */
export interface LoadedConfig {
  readonly config: Config
  /** The file that was read; null when none. */
  readonly file: string | null
  /** Where each setting that somebody wrote was written, by dotted path. */
  readonly origins: ReadonlyMap<string, string>
  /** What works but deserves a word, one sentence each. */
  readonly warnings: readonly string[]
}

const FILE_NAME = 'config.yaml'

/**
 * Defaults < file < environment < flags. The file is `--config`, else `HEADRACE_CONFIG`, else `config.yaml` in the home
 * when it is there. Throws ConfigError with everything that is wrong.
 */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const issues: ConfigIssue[] = []
  const { file, layer, home } = readFile(sources, issues)
  if (issues.length > 0) throw new ConfigError(issues)
  for (const [path, text, name] of envSettings(sources.env))
    put(layer, path, valueFromText(text, nodeAt(path) ?? {}), name)
  layFlags(layer, sources.flags, issues)

  const parsed = configSchema.safeParse(layer.values)
  if (!parsed.success) issues.push(...parsed.error.issues.flatMap(issue => explain(issue, layer)))
  if (issues.length > 0 || !parsed.success) throw new ConfigError(unique(issues))

  resolvePaths(parsed.data, layer, sources, file)
  const config = freeze(parsed.data) as Config
  issues.push(
    ...contradictions(config).map(({ path, message }) => ({ where: settingOrigin(layer, path), path, message })),
  )
  if (file !== null && home !== null && config.home !== home) {
    issues.push({
      where: originOf(layer, 'home'),
      path: 'home',
      message: `is ${config.home}, but this file was found as ${file}, in another home; remove the line, or name the file with --config`,
    })
  }
  if (issues.length > 0) throw new ConfigError(issues)
  const warnings = [
    ...unknownVariables(sources.env, secretVariables(config)).map(unknownVariableText),
    ...cautions(config).map(({ path, message }) => `${settingOrigin(layer, path)}: ${path} ${message}`),
  ]
  return { config, file, origins: layer.origins, warnings }
}

/** `home` is the folder in which the file was found without being named; null when it was named or there is none. */
function readFile(
  sources: ConfigSources,
  issues: ConfigIssue[],
): { file: string | null; layer: Layer; home: string | null } {
  const { flags, env } = sources
  const named = flags.config ?? (env.HEADRACE_CONFIG || undefined)
  const home = absolute(flags.home ?? (env.HEADRACE_HOME || '~/.headrace'), sources.cwd, sources.userHome)
  const file = named === undefined ? join(home, FILE_NAME) : absolute(named, sources.cwd, sources.userHome)
  const empty: Layer = { values: {}, origins: new Map() }
  let text: string | null
  try {
    text = sources.readFile(file)
  } catch (error) {
    issues.push({ where: file, path: '', message: `cannot be read: ${(error as Error).message}` })
    return { file, layer: empty, home: null }
  }
  if (text === null) {
    if (named !== undefined) {
      const by = flags.config === undefined ? 'HEADRACE_CONFIG' : '--config'
      issues.push({
        where: by,
        path: '',
        message: `there is no file ${file}; "headrace config example" prints one to start from`,
      })
    }
    return { file: null, layer: empty, home: null }
  }
  return { file, layer: yamlLayer(text, file, issues), home: named === undefined ? home : null }
}

function layFlags(layer: Layer, flags: ConfigFlags, issues: ConfigIssue[]): void {
  for (const assignment of flags.set ?? []) {
    const equals = assignment.indexOf('=')
    const path = assignment.slice(0, Math.max(equals, 0)).trim()
    if (equals <= 0) {
      issues.push({
        where: '--set',
        path: '',
        message: `${JSON.stringify(assignment)} is not of the form section.setting=value, such as server.port=8081`,
      })
    } else if (!SETTINGS.has(path)) {
      issues.push({
        where: '--set',
        path,
        message: `is no setting${meant(path, SETTINGS.keys(), '; "headrace config show" lists them')}`,
      })
    } else {
      put(
        layer,
        path.split('.'),
        valueFromText(assignment.slice(equals + 1), nodeAt(path.split('.')) ?? {}),
        `--set ${path}`,
      )
    }
  }
  for (const [flag, path, text] of [
    ['--home', 'home', flags.home],
    ['--host', 'server.host', flags.host],
    ['--port', 'server.port', flags.port],
  ] as const) {
    if (text !== undefined) put(layer, path.split('.'), valueFromText(text, nodeAt(path.split('.')) ?? {}), flag)
  }
}

/** A finding of zod → where it was written, what was found and what is allowed. */
function explain(issue: z.core.$ZodIssue, layer: Layer): ConfigIssue[] {
  const node = nodeAt(issue.path)
  const dotted = issue.path.join('.')
  if (issue.code === 'unrecognized_keys') {
    const known = Object.keys((node && sectionOf(node)?.properties) ?? {})
    return issue.keys.map(key => {
      const path = [...issue.path, key].join('.')
      return {
        where: originOf(layer, path),
        path,
        message: `is no setting${meant(key, known, `; known here: ${known.join(', ')}`)}`,
      }
    })
  }
  const found = valueAt(layer.values, issue.path)
  const allowed = node === null ? issue.message : allowedText(node)
  if (found === undefined)
    return [{ where: originOf(layer, dotted), path: dotted, message: `is missing; allowed: ${allowed}` }]
  const fallback =
    node?.default === undefined || typeof node.default === 'object' ? '' : ` (default ${String(node.default)})`
  return [
    { where: originOf(layer, dotted), path: dotted, message: `is ${shown(found)}; allowed: ${allowed}${fallback}` },
  ]
}

function meant(written: string, names: Iterable<string>, otherwise: string): string {
  const near = nearest(written, names)
  return near === null ? otherwise : `; did you mean ${near}?`
}

function unknownVariableText(name: string): string {
  const names = [
    ...Object.keys(ENV_OTHER),
    ...Object.keys(ENV_SHORT),
    ...[...SETTINGS.values()].map(setting => setting.env),
  ]
  return `${name} in the environment is no setting and has no effect${meant(name, names, '')}`
}

/** Where a setting that has a value was written; a setting by name that nobody wrote has its default. */
function settingOrigin(layer: Layer, dotted: string): string {
  return SETTINGS.has(dotted) ? (layer.origins.get(dotted) ?? 'default') : originOf(layer, dotted)
}

/** Where a setting, or the nearest section around it, was written. */
function originOf(layer: Layer, dotted: string): string {
  const steps = dotted === '' ? [] : dotted.split('.')
  for (let length = steps.length; length >= 0; length--) {
    const origin = layer.origins.get(steps.slice(0, length).join('.'))
    if (origin !== undefined) return origin
  }
  return 'default'
}

/** Variables whose names the configuration says, for secrets. */
function secretVariables(config: Config): ReadonlySet<string> {
  const { stripe } = config.payments
  return new Set([
    ...config.upstreams.map(upstream => upstream.apiKeyEnv ?? ''),
    ...config.webhooks.map(webhook => webhook.secretEnv),
    ...(stripe === null ? [] : [stripe.secretKeyEnv, stripe.webhookSecretEnv]),
  ])
}

function valueAt(values: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce((value, step) => (value as Record<PropertyKey, unknown> | null | undefined)?.[step], values)
}

function shown(value: unknown): string {
  const text = JSON.stringify(value)
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`
}

/** Two alternatives of one value complain twice; one line is enough. */
function unique(issues: readonly ConfigIssue[]): ConfigIssue[] {
  return [...new Map(issues.map(issue => [`${issue.path}\n${issue.message}`, issue])).values()]
}

/** Makes the paths of files and folders absolute: against the file's folder when written there, else where we were started. */
function resolvePaths(
  values: z.output<typeof configSchema>,
  layer: Layer,
  sources: ConfigSources,
  file: string | null,
): void {
  for (const [dotted, setting] of SETTINGS) {
    const written = valueAt(values, setting.path)
    if (written === undefined || written === null) continue
    const inFile = file !== null && settingOrigin(layer, dotted).startsWith(`${file}:`)
    const base = inFile ? dirname(file) : sources.cwd
    const section = valueAt(values, setting.path.slice(0, -1)) as Record<string, unknown>
    section[setting.path.at(-1) as string] = resolved(setting.node, written, text =>
      absolute(text, base, sources.userHome),
    )
  }
}

/** A setting's value with every path in it made absolute, those inside of lists included. */
function resolved(node: SchemaNode, value: unknown, toAbsolute: (path: string) => string): unknown {
  if (node.path === true && typeof value === 'string') return value === 'auto' ? value : toAbsolute(value)
  const { items, properties } = node
  if (Array.isArray(value)) return items === undefined ? value : value.map(item => resolved(items, item, toAbsolute))
  if (typeof value !== 'object' || value === null || properties === undefined) return value
  const entries = Object.entries(value).map(([key, inner]) => [key, resolved(properties[key] ?? {}, inner, toAbsolute)])
  return Object.fromEntries(entries)
}

function absolute(path: string, base: string, userHome: string): string {
  if (path === '~' || path.startsWith('~/') || path.startsWith('~\\')) return join(userHome, path.slice(1))
  return resolve(base, path)
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) freeze(inner)
    Object.freeze(value)
  }
  return value
}
