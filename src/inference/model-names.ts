import type { Model, Snapshot } from './snapshot.ts'

/** The model that goes by a name: its id, an alias, or the longest alias with a `*` that the name fits. */
export function modelNamed({ models, modelPrefixes }: Snapshot, name: string): Model | undefined {
  return models.get(name) ?? modelPrefixes?.find(({ prefix }) => name.startsWith(prefix))?.model
}
