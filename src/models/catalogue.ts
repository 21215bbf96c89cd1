import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { parseDocument } from 'yaml'
import type { z } from 'zod'
import { type CatalogueEntry, catalogueEntrySchema } from './catalogue-schema.ts'
import { ModelError } from './model-error.ts'

export type { CatalogueEntry, CataloguePrice } from './catalogue-schema.ts'

/** The model that a first start fetches; docs/decisions/0002-default-model.md has the reasons. */
export const DEFAULT_MODEL_ID = 'smollm2-135m-instruct'

/** Every model that can be had by its id. Immutable. */
export interface Catalogue {
  readonly entries: readonly CatalogueEntry[]
  /** By id or alias. */
  find(id: string): CatalogueEntry | undefined
}

/** A catalogue as text, and where it was read from, for error messages. */
export interface CatalogueSource {
  readonly name: string
  readonly text: string
}

/** The catalogue that came with the program. */
export const OWN_CATALOGUE_FILE = path.resolve(import.meta.dirname, '../../catalogue.yaml')

/** Where an installation keeps models of its own. */
export function userCatalogueFile(home: string): string {
  return path.join(home, 'catalogue.yaml')
}

/**
 * The catalogue that came with the program, with `catalogue.yaml` of the home (where `pull` writes what it did not
 * know) and then the operator's file laid over it: an entry with the same id replaces the fields that it names, any
 * other is added.
 *
 * @param operatorFile a file that has to be there, or null for none.
 * @throws ModelError `bad_catalogue` with a line for everything that is wrong.
 */
export function loadCatalogue(home: string, operatorFile: string | null = null): Catalogue {
  const sources = [readCatalogueFile(OWN_CATALOGUE_FILE)]
  const homeFile = userCatalogueFile(home)
  if (existsSync(homeFile)) sources.push(readCatalogueFile(homeFile))
  if (operatorFile !== null && path.resolve(operatorFile) !== homeFile) sources.push(readCatalogueFile(operatorFile))
  return parseCatalogue(sources)
}

/**
 * Builds a catalogue from texts, later ones laid over earlier ones.
 *
 * @throws ModelError `bad_catalogue`; the message has a line for each error, `file: models[2].file.sha256 ...`.
 */
export function parseCatalogue(sources: readonly CatalogueSource[]): Catalogue {
  const problems: string[] = []
  const merged = new Map<string, { source: string; at: string; raw: Record<string, unknown> }>()
  for (const source of sources) {
    for (const [index, raw] of rawEntries(source, problems).entries()) {
      const at = `models[${index}]`
      if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
        problems.push(`${source.name}: ${at} has to be a mapping with an id`)
        continue
      }
      const fields = raw as Record<string, unknown>
      const id = typeof fields.id === 'string' ? fields.id : `(${source.name} ${at})`
      const below = merged.get(id)
      if (below?.source === source.name)
        problems.push(`${source.name}: ${at}.id "${id}" is there twice (first as ${below.at})`)
      merged.set(id, { source: source.name, at, raw: { ...below?.raw, ...fields } })
    }
  }

  const entries: CatalogueEntry[] = []
  const owners = new Map<string, string>()
  for (const { source, at, raw } of merged.values()) {
    const parsed = catalogueEntrySchema.safeParse(raw)
    if (parsed.success) entries.push(deepFreeze(parsed.data))
    else problems.push(...parsed.error.issues.map(issue => `${source}: ${at}${issuePath(issue)} ${issueText(issue)}`))
  }
  const byName = new Map<string, CatalogueEntry>()
  const files = new Map<string, CatalogueEntry>()
  for (const entry of entries) {
    for (const name of [entry.id, ...entry.aliases]) {
      const owner = owners.get(name)
      if (owner !== undefined)
        problems.push(`${merged.get(entry.id)?.source}: "${name}" names both ${owner} and ${entry.id}`)
      owners.set(name, entry.id)
      byName.set(name, entry)
    }
    const rival = files.get(entry.file.name)
    if (rival !== undefined && rival.file.sha256 !== entry.file.sha256) {
      problems.push(
        `${merged.get(entry.id)?.source}: ${rival.id} and ${entry.id} have different files named ${entry.file.name}`,
      )
    }
    files.set(entry.file.name, entry)
  }
  if (problems.length > 0) throw new ModelError('bad_catalogue', problems.join('\n'))
  return Object.freeze({ entries: Object.freeze(entries), find: (id: string) => byName.get(id) })
}

/** The licence in one line, as the list of models shows it. */
export function licenseText(license: CatalogueEntry['license']): string {
  return typeof license === 'string' ? license : `${license.name} (${license.url})`
}

function readCatalogueFile(file: string): CatalogueSource {
  try {
    return { name: file, text: readFileSync(file, 'utf8') }
  } catch (error) {
    throw new ModelError('bad_catalogue', `${file}: ${(error as Error).message}`, error)
  }
}

function rawEntries(source: CatalogueSource, problems: string[]): readonly unknown[] {
  const document = parseDocument(source.text, { prettyErrors: true })
  if (document.errors.length > 0) {
    problems.push(...document.errors.map(error => `${source.name}: ${error.message.split('\n')[0]}`))
    return []
  }
  const content: unknown = document.toJS({ maxAliasCount: 100 })
  if (content === null) return []
  const models = typeof content === 'object' && 'models' in content ? content.models : undefined
  const unknown = typeof content === 'object' ? Object.keys(content).filter(key => key !== 'models') : []
  problems.push(...unknown.map(key => `${source.name}: "${key}" is not known; the file has one key, "models"`))
  if (Array.isArray(models)) return models
  if (models === null) return []
  problems.push(`${source.name}: "models" has to be a list of models`)
  return []
}

function issuePath(issue: z.core.$ZodIssue): string {
  return issue.path.map(part => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('')
}

function issueText(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') return `has the unknown field ${issue.keys.map(key => `"${key}"`).join(', ')}`
  if (issue.code === 'invalid_type' && issue.message.endsWith('received undefined'))
    return `is missing (${issue.expected})`
  return issue.message
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const child of Object.values(value)) deepFreeze(child)
  }
  return value
}
