import type { Snapshot } from '../inference/snapshot.ts'
import { buildSnapshot, type SnapshotState } from './snapshot-builder.ts'

/** Keeps the current snapshot, and makes the next one from the store. */
export interface Publisher {
  /** The snapshot in force. */
  current(): Snapshot
  /** Rebuilds from the store and swaps; resolves once the new snapshot is in force. */
  publish(): Promise<void>
}

/**
 * Loads the first snapshot. Rebuilds run one after another, so that a slow load of an older state can never replace a newer
 * one. A state that does not fit together (`SnapshotConflict`) leaves the snapshot in force as it was.
 */
export async function createPublisher(
  loadState: () => SnapshotState | Promise<SnapshotState>,
  swapped: (snapshot: Snapshot) => void = () => {},
): Promise<Publisher> {
  let current = buildSnapshot(await loadState(), 1)
  let last: Promise<void> = Promise.resolve()
  swapped(current)

  async function rebuild() {
    current = buildSnapshot(await loadState(), current.version + 1)
    swapped(current)
  }

  return {
    current: () => current,
    publish() {
      const result = last.then(rebuild)
      last = result.catch(() => {})
      return result
    },
  }
}
