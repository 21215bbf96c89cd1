import type { Config } from '../../config/schema.ts'
import { loadCatalogue } from '../../models/catalogue.ts'
import { listModelFiles, verifyModelFile } from '../../models/model-files.ts'
import { formatBytes } from '../output/units.ts'
import { broken, type Finding, note, ok } from './finding.ts'

/** Model files, each hashed again and compared with what was recorded, or is in the catalogue. */
export async function modelFindings(config: Config): Promise<Finding[]> {
  const catalogue = loadCatalogue(config.home, config.models.catalogueFile)
  const files = await listModelFiles(config.home)
  const found: Finding[] = []
  for (const { name } of files) {
    const { file, sha256, state } = await verifyModelFile(config.home, name)
    const entry = catalogue.entries.find(each => each.file.name === name)
    const facts = { file: file.path, bytes: file.bytes, sha256, model: file.modelId, source: file.source }
    const damaged = state === 'changed' || (entry !== undefined && entry.file.sha256 !== sha256)
    if (damaged) {
      const expected = entry?.file.sha256 ?? file.sha256 ?? 'another hash'
      found.push(
        broken(
          'model',
          `${file.path} is not what it should be: SHA-256 ${sha256}, expected ${expected}.`,
          `Delete it and fetch it again: npx headrace pull ${entry?.id ?? '<model>'}`,
          facts,
        ),
      )
    } else {
      found.push(
        ok(
          'model',
          `${name}, ${formatBytes(file.bytes)}, SHA-256 ${sha256.slice(0, 16)}…${state === 'unrecorded' ? ' (recorded now)' : ' as recorded'}`,
          facts,
        ),
      )
    }
  }
  const wanted = config.models.default
  const entry = wanted === null ? undefined : catalogue.find(wanted)
  if (wanted !== null && entry === undefined) {
    found.push(
      broken(
        'model',
        `models.default is "${wanted}", which is no model of the catalogue.`,
        `Set it to one of: ${catalogue.entries.map(each => each.id).join(', ')}; or to null.`,
      ),
    )
  } else if (entry !== undefined && !files.some(file => file.name === entry.file.name)) {
    const next = config.models.autoPull
      ? 'The next start fetches it'
      : 'models.autoPull is off, so nothing fetches it by itself'
    found.push(
      note(
        'model',
        `The default model ${entry.id} is not there. ${next} (${formatBytes(entry.file.bytes)}).`,
        `Or now: npx headrace pull ${entry.id}`,
      ),
    )
  }
  return found
}
