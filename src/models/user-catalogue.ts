import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { isMap, isScalar, isSeq, parseDocument } from 'yaml'
import { type CatalogueEntry, userCatalogueFile } from './catalogue.ts'
import { withFileLock } from './file-lock.ts'
import { ModelError } from './model-error.ts'

const HEADER =
  ' Models of this installation, laid over the catalogue that came with Headrace.\n "headrace pull" adds to it; it may be edited by hand.'

/**
 * Writes an entry into the installation's own catalogue, in place of one with the same id, keeping comments and all
 * other entries. The file is replaced in one step.
 *
 * @throws ModelError `bad_catalogue` when the file there is no catalogue.
 */
export async function saveUserEntry(home: string, entry: CatalogueEntry): Promise<void> {
  await change(home, models => models.add(entry))
}

/** Removes an entry from the installation's own catalogue. False when it had none with that id. */
export async function removeUserEntry(home: string, id: string): Promise<boolean> {
  let had = false
  await change(home, models => {
    had = models.remove(id)
  })
  return had
}

interface EditableModels {
  add(entry: CatalogueEntry): void
  remove(id: string): boolean
}

async function change(home: string, edit: (models: EditableModels) => void): Promise<void> {
  const file = userCatalogueFile(home)
  await mkdir(home, { recursive: true, mode: 0o700 })
  await withFileLock(path.join(home, 'catalogue.yaml.lock'), undefined, async () => {
    const text = await readFile(file, 'utf8').catch(error => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
      throw error
    })
    const document = parseDocument(text ?? '')
    if (text === null) document.commentBefore = HEADER
    const list = isMap(document.contents) ? document.get('models', true) : undefined
    const absent = document.contents === null || list === undefined || (isScalar(list) && list.value === null)
    const models = absent ? document.createNode([]) : list
    if (document.errors.length > 0 || !isSeq(models) || !(document.contents === null || isMap(document.contents))) {
      throw new ModelError('bad_catalogue', `${file} is no catalogue: it needs a list "models"; correct it and repeat`)
    }
    if (absent) document.set('models', models)
    // `[]` of an empty file would otherwise make everything one line.
    models.flow = false
    const indexOf = (id: string) => models.items.findIndex(item => isMap(item) && item.get('id') === id)
    edit({
      add(entry) {
        const index = indexOf(entry.id)
        const node = document.createNode(entry)
        if (index >= 0) models.items[index] = node
        else models.add(node)
      },
      remove(id) {
        const index = indexOf(id)
        return index >= 0 && models.delete(index)
      },
    })
    const draft = `${file}.${process.pid}.new`
    await writeFile(draft, document.toString(), { mode: 0o600 })
    await rename(draft, file)
  })
}
