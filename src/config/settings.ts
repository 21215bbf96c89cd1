import { z } from 'zod'
import { configSchema } from './schema.ts'

/** The part of JSON Schema (draft 2020-12) that zod derives from our schema, with our own metadata beside it. */
export interface SchemaNode {
  readonly type?: string | readonly string[]
  readonly description?: string
  readonly default?: unknown
  readonly unit?: string
  readonly allowed?: string
  readonly path?: boolean
  readonly decimal?: boolean
  readonly sample?: string
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly required?: readonly string[]
  readonly items?: SchemaNode
  readonly anyOf?: readonly SchemaNode[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly minimum?: number
  readonly maximum?: number
  readonly minItems?: number
  readonly maxItems?: number
}

/** One setting that can be given by name. */
export interface Setting {
  /** `server.port`. */
  readonly path: readonly string[]
  /** `HEADRACE_SERVER_PORT`. */
  readonly env: string
  readonly node: SchemaNode
}

/** The schema of the configuration as a person writes it. */
export const CONFIG_NODE = z.toJSONSchema(configSchema, { io: 'input' }) as SchemaNode

/** Short names of the environment for what is set most often. */
export const ENV_SHORT: Readonly<Record<string, string>> = {
  HEADRACE_HOST: 'server.host',
  HEADRACE_PORT: 'server.port',
}

/** Settings by dotted path: every scalar, list and nullable section, in the order of the schema. */
export const SETTINGS: ReadonlyMap<string, Setting> = new Map(
  [...walk(CONFIG_NODE, [])].map(setting => [setting.path.join('.'), setting]),
)

function* walk(node: SchemaNode, path: readonly string[]): Generator<Setting> {
  const section = sectionOf(node)
  // A section that may be null is itself a setting, so that it can be switched off by name.
  if (path.length > 0 && (section === null || section !== node)) {
    yield { path, env: `HEADRACE_${path.map(snake).join('_')}`, node }
  }
  for (const [key, child] of Object.entries(section?.properties ?? {})) yield* walk(child, [...path, key])
}

/** The node that has the properties: the node itself or the object among its alternatives; null for a scalar or list. */
export function sectionOf(node: SchemaNode): SchemaNode | null {
  if (node.properties !== undefined) return node
  return node.anyOf?.find(option => option.properties !== undefined) ?? null
}

/** The schema at a path as zod reports it (keys and list positions), or null when there is none. */
export function nodeAt(path: readonly PropertyKey[]): SchemaNode | null {
  let node: SchemaNode | null = CONFIG_NODE
  for (const step of path) {
    if (node === null) return null
    node =
      (typeof step === 'number' || /^\d+$/.test(String(step))
        ? node.items
        : sectionOf(node)?.properties?.[String(step)]) ?? null
  }
  return node
}

/** The types that a node takes: `string`, `integer`, `boolean`, `null`, `array`, `object`. */
export function typesOf(node: SchemaNode): readonly string[] {
  if (node.anyOf !== undefined) return node.anyOf.flatMap(typesOf)
  return node.type === undefined ? [] : typeof node.type === 'string' ? [node.type] : node.type
}

/** What a value may be, for people: `a whole number from 0 to 65535`. */
export function allowedText(node: SchemaNode): string {
  if (node.allowed !== undefined) return node.allowed
  if (node.anyOf !== undefined) return node.anyOf.map(allowedText).join(', or ')
  if (node.enum !== undefined) return node.enum.map(String).join(', ')
  if (node.const !== undefined) return String(node.const)
  return typesOf(node)
    .map(type => typeText(type, node))
    .join(', or ')
}

function typeText(type: string, node: SchemaNode): string {
  if (type === 'integer') return `a whole number from ${node.minimum} to ${node.maximum}`
  if (type === 'boolean') return 'true or false'
  if (type === 'string') return 'text'
  if (type === 'array')
    return `a list of ${node.minItems === undefined ? 'at most' : `${node.minItems} to`} ${node.maxItems}${node.items?.allowed === undefined ? '' : `, each ${node.items.allowed}`}`
  if (type === 'object') return `a section with ${Object.keys(node.properties ?? {}).join(', ')}`
  return type
}

/** `bodyBytesMax` → `BODY_BYTES_MAX`. */
function snake(name: string): string {
  return name.replace(/[A-Z]/g, '_$&').toUpperCase()
}
