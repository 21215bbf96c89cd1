import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../config/schema.ts'
import { keyPepper, operatorToken } from '../control/operator-token.ts'
import type { StoredModel } from '../control/snapshot-builder.ts'
import { type Catalogue, loadCatalogue } from '../models/catalogue.ts'
import { acquireHomeLock } from '../store/home-lock.ts'
import { openStore, type Store } from '../store/store.ts'

/** The store with the control plane's models in it. */
export type HeadraceStore = Store<StoredModel>

/** What both a server and an offline command stand on: the home, its lock, its secrets, its store. */
export interface Foundation {
  readonly store: HeadraceStore
  readonly pepper: Buffer
  readonly token: string
  readonly catalogue: Catalogue
  release(): Promise<void>
}

/** The database of a home. */
export function databasePath(home: string): string {
  return join(home, 'headrace.db')
}

/**
 * Takes the lock of a home, which is created where it is missing, and opens what is in it. `onFatal` is told when the disk failed.
 *
 * @throws HomeLockedError when another process has the home.
 */
export async function openFoundation(config: Config, onFatal?: (error: Error) => void): Promise<Foundation> {
  const { home } = config
  mkdirSync(home, { recursive: true, mode: 0o700 })
  const lock = acquireHomeLock(home)
  try {
    const store = await openStore<StoredModel>({
      path: databasePath(home),
      onFatal,
      answersBytesMax: config.money.idempotency.totalBytesMax,
      keptBytesMaxPerOrg: config.responses.bytesMaxPerOrg,
    })
    return {
      store,
      pepper: keyPepper(home, randomBytes),
      token: operatorToken(home, randomBytes),
      catalogue: loadCatalogue(home, config.models.catalogueFile),
      async release() {
        await store.close()
        lock.release()
      },
    }
  } catch (error) {
    lock.release()
    throw error
  }
}
