import { readFileSync, statfsSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { dirname } from 'node:path'
import type { Config } from '../../config/schema.ts'
import { formatBytes } from '../output/units.ts'
import { broken, type Finding, note, ok } from './finding.ts'

const NODE_MAJOR_MIN = 26
const GIB = 1024 ** 3
/** The default model, its context and the gateway fit into this. */
const MEMORY_MIN_BYTES = GIB
const DISK_MIN_BYTES = 0.25 * GIB
const DISK_NOTE_BYTES = 2 * GIB
/** Instructions that llama.cpp is much faster with, as /proc/cpuinfo names them on x86 and on ARM. */
const CPU_FEATURES = [
  'sse4_2',
  'avx',
  'avx2',
  'f16c',
  'fma',
  'avx512f',
  'avx512_vnni',
  'avx_vnni',
  'amx_tile',
  'asimd',
  'asimddp',
  'i8mm',
  'sve',
]

/** The Node that runs us. */
export function nodeFinding(): Finding {
  const { node } = process.versions
  const facts = { version: node, path: process.execPath }
  if (Number(node.split('.')[0]) >= NODE_MAJOR_MIN) return ok('node', `Node ${node}`, facts)
  return broken(
    'node',
    `Node ${node} is too old; ${NODE_MAJOR_MIN} is needed.`,
    'Start with "npx headrace", which brings its own Node.',
    facts,
  )
}

/** Cores and instructions. */
export function cpuFinding(): Finding {
  const [first] = cpus()
  const cores = availableParallelism()
  const features = cpuFeatures()
  const facts = { model: first?.model.trim() ?? 'unknown', cores, features }
  const summary = `${facts.model}, ${cores} ${cores === 1 ? 'core' : 'cores'}${features.length === 0 ? '' : `; ${features.join(' ')}`}`
  if (process.arch === 'x64' && features.length > 0 && !features.includes('avx2')) {
    return note(
      'cpu',
      `${summary}; without AVX2 the embedded engine is slow.`,
      'Use a newer processor, or an upstream on another machine.',
      facts,
    )
  }
  return ok('cpu', summary, facts)
}

/** Empty where the system does not tell. */
function cpuFeatures(): string[] {
  try {
    const line = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? ''
    const has = new Set(line.split(' '))
    return CPU_FEATURES.filter(feature => has.has(feature))
  } catch {
    return []
  }
}

/** Memory that a model could take. A container's bound counts. */
export function memoryFinding(config: Config): Finding {
  const constrainedBytes = process.constrainedMemory()
  const totalBytes = constrainedBytes > 0 && constrainedBytes < totalmem() ? constrainedBytes : totalmem()
  const availableBytes = process.availableMemory()
  const allowed = config.engine.memoryBytesMax
  const facts = { total_bytes: totalBytes, available_bytes: availableBytes, engine_bytes_max: allowed }
  const summary = `${formatBytes(availableBytes)} of ${formatBytes(totalBytes)} available`
  if (allowed !== 'auto' && allowed > totalBytes) {
    return broken(
      'memory',
      `engine.memoryBytesMax (${formatBytes(allowed)}) is more than this machine has (${formatBytes(totalBytes)}).`,
      'Lower it, or set it to auto.',
      facts,
    )
  }
  if (availableBytes < MEMORY_MIN_BYTES)
    return note('memory', `${summary}; a model may not fit.`, 'End other programs, or serve a smaller model.', facts)
  return ok('memory', summary, facts)
}

/** Room where the home is, or will be. */
export function diskFinding(config: Config): Finding {
  let folder = config.home
  while (true) {
    try {
      const { bavail, bsize } = statfsSync(folder)
      const freeBytes = bavail * bsize
      const facts = { folder, free_bytes: freeBytes }
      const summary = `${formatBytes(freeBytes)} free at ${folder}`
      if (freeBytes < DISK_MIN_BYTES)
        return broken(
          'disk',
          `${summary}: the ledger may not be able to record charges.`,
          'Free some space, or choose a home on another disk with --home.',
          facts,
        )
      if (freeBytes < DISK_NOTE_BYTES)
        return note('disk', `${summary}: little for models.`, 'Free some space before fetching models.', facts)
      return ok('disk', summary, facts)
    } catch (error) {
      const parent = dirname(folder)
      if (parent === folder) return note('disk', `The free space cannot be told: ${(error as Error).message}`)
      folder = parent
    }
  }
}
