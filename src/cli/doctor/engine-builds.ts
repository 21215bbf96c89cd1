import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Config } from '../../config/schema.ts'
import { broken, type Finding, note, ok } from './finding.ts'

const BINDING = '@fugood/llama.node'
const VARIANTS = ['default', 'cuda', 'vulkan'] as const
type Variant = (typeof VARIANTS)[number]

/** Version of the engine's binding that came along; null when it is not installed. */
export function engineVersion(): string | null {
  const folder = packageFolder(BINDING, null)
  return folder === null ? null : JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version
}

/** Builds of the engine that are installed, and graphics processors that could use them. */
export function engineFindings(config: Config): Finding[] {
  const version = engineVersion()
  if (version === null) {
    return [broken('engine', `The package ${BINDING} is not installed.`, 'Run npm ci again.')]
  }
  const { variant, libraryDir } = config.engine
  const builds = VARIANTS.filter(each => hasBuild(each, libraryDir))
  const gpus = graphicsProcessors()
  const facts = { version, builds, variant, graphics: gpus }
  const found: Finding[] = []
  if (builds.includes(variant)) {
    found.push(
      ok('engine', `llama.cpp binding ${version}; builds: ${builds.join(', ')}; configured: ${variant}`, facts),
    )
  } else {
    const name = buildPackage(variant)
    const cure =
      variant === 'default'
        ? 'Run npm ci again. If there is no build for this system, serve models of upstreams only.'
        : `Install it, for example: npm install --prefix ~/headrace-engine ${BINDING}@${version} ${name}@${version}; then set engine.libraryDir to that folder.`
    found.push(broken('engine', `There is no ${variant} build of the engine (${name}).`, cure, facts))
  }
  if (gpus.length > 0 && variant === 'default' && process.platform !== 'darwin') {
    const [gpu = ''] = gpus
    const wanted: Variant = gpu.startsWith('NVIDIA') ? 'cuda' : 'vulkan'
    found.push(
      note(
        'graphics',
        `${gpus.join(', ')} is there, and the engine runs on the processor.`,
        `To use it, install ${buildPackage(wanted)}@${version}, set engine.libraryDir to its folder and engine.variant to ${wanted}.`,
        facts,
      ),
    )
  }
  return found
}

/** A package counts only with its library inside: an empty one may stand in for a build that is not wanted. */
function hasBuild(variant: Variant, libraryDir: string | null): boolean {
  const folder = packageFolder(buildPackage(variant), libraryDir)
  return folder !== null && readdirSync(folder).some(name => name.endsWith('.node'))
}

function buildPackage(variant: Variant): string {
  return `@fugood/node-llama-${process.platform}-${process.arch}${variant === 'default' ? '' : `-${variant}`}`
}

function packageFolder(name: string, libraryDir: string | null): string | null {
  if (libraryDir !== null) {
    const folder = join(libraryDir, 'node_modules', name)
    if (existsSync(join(folder, 'package.json'))) return folder
  }
  // Looked for as Node does, folder by folder upwards: `resolve` would refuse packages that keep their package.json private.
  for (const place of createRequire(import.meta.url).resolve.paths(name) ?? []) {
    const folder = join(place, name)
    if (existsSync(join(folder, 'package.json'))) return folder
  }
  return null
}

/** As far as the system shows them without asking a driver. */
function graphicsProcessors(): string[] {
  const found: string[] = []
  try {
    const version = /Module\s+([\d.]+)/.exec(readFileSync('/proc/driver/nvidia/version', 'utf8'))?.[1] ?? ''
    const cards = readdirSync('/proc/driver/nvidia/gpus').length
    found.push(`NVIDIA graphics (${cards}, driver ${version})`)
  } catch {
    // No NVIDIA driver is loaded.
  }
  try {
    const nodes = readdirSync('/dev/dri').filter(name => name.startsWith('renderD'))
    if (nodes.length > 0 && found.length === 0) found.push(`a graphics device (${dirname('/dev/dri/x')}/${nodes[0]})`)
  } catch {
    // No direct rendering here.
  }
  return found
}
