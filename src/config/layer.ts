import { parse } from 'yaml'
import { ENV_SHORT, type SchemaNode, SETTINGS, typesOf } from './settings.ts'

/** Settings from one place, not checked yet, and where each was written (by dotted path). */
export interface Layer {
  readonly values: Record<string, unknown>
  readonly origins: Map<string, string>
}

/** Variables that the environment may hold beside the settings. */
export const ENV_OTHER: Readonly<Record<string, string>> = {
  HEADRACE_CONFIG: 'The configuration file; as --config.',
  HEADRACE_API_KEY: 'The API key that "headrace chat" uses.',
  HEADRACE_DEBUG: 'When set, an error is printed with its stack.',
}

/** Lays one value over what is there. */
export function put(layer: Layer, path: readonly string[], value: unknown, where: string): void {
  let section = layer.values
  for (const [depth, step] of path.slice(0, -1).entries()) {
    const inner = section[step]
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) section[step] = {}
    if (!layer.origins.has(path.slice(0, depth + 1).join('.')))
      layer.origins.set(path.slice(0, depth + 1).join('.'), where)
    section = section[step] as Record<string, unknown>
  }
  section[path.at(-1) as string] = value
  // What an earlier layer wrote below this path is gone, and so is its place.
  const prefix = `${path.join('.')}.`
  for (const known of layer.origins.keys()) if (known.startsWith(prefix)) layer.origins.delete(known)
  layer.origins.set(path.join('.'), where)
}

/** The environment as [setting, text, variable]; the long name wins over the short one. Empty variables count as unset. */
export function* envSettings(
  env: Readonly<Record<string, string | undefined>>,
): Generator<[path: readonly string[], text: string, name: string]> {
  const names = [...Object.entries(ENV_SHORT), ...[...SETTINGS].map(([path, setting]) => [setting.env, path] as const)]
  for (const [name, path] of names) {
    const text = env[name]
    const setting = SETTINGS.get(path)
    if (text === undefined || text === '' || setting === undefined || isKubernetesLink(name, text)) continue
    yield [setting.path, text, name]
  }
}

/** Variables named like ours that mean nothing to us: most likely misspelt. */
export function unknownVariables(
  env: Readonly<Record<string, string | undefined>>,
  alsoKnown: ReadonlySet<string>,
): string[] {
  const known = new Set([
    ...Object.keys(ENV_OTHER),
    ...Object.keys(ENV_SHORT),
    ...[...SETTINGS.values()].map(setting => setting.env),
  ])
  return Object.keys(env).filter(
    name =>
      name.startsWith('HEADRACE_') &&
      env[name] !== '' &&
      !known.has(name) &&
      !alsoKnown.has(name) &&
      !isKubernetesLink(name, env[name] ?? ''),
  )
}

/** Kubernetes sets HEADRACE_PORT=tcp://10.0.0.7:8080, HEADRACE_SERVICE_HOST and more in every pod beside a service named "headrace". */
function isKubernetesLink(name: string, text: string): boolean {
  return (name === 'HEADRACE_PORT' && /^(tcp|udp):\/\//.test(text)) || /^HEADRACE_(SERVICE|PORT_\d+)_/.test(name)
}

/**
 * Text from the environment or the command line → a value of the kind that the setting takes. Lists of names are
 * separated by commas; anything with structure is YAML. Text that fits no kind stays text, for the check to refuse.
 */
export function valueFromText(text: string, node: SchemaNode): unknown {
  const types = typesOf(node)
  if (types.includes('null') && text === 'null') return null
  if ((types.includes('integer') || types.includes('number')) && /^-?\d+(\.\d+)?$/.test(text)) return Number(text)
  if (types.includes('boolean') && (text === 'true' || text === 'false')) return text === 'true'
  if (types.includes('array') && node.items?.properties === undefined && !text.trimStart().startsWith('[')) {
    return text === '' ? [] : text.split(',').map(item => item.trim())
  }
  if (types.includes('array') || types.includes('object')) {
    try {
      return parse(text)
    } catch {
      return text
    }
  }
  return text
}
