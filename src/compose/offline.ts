import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { OfflineControl } from '../cli/serve-types.ts'
import type { Config } from '../config/schema.ts'
import { createControlApp } from '../control/app.ts'
import { createPublisher } from '../control/publisher.ts'
import { SYSTEM_CLOCK } from '../std/clock.ts'
import { createIdMaker } from '../std/request-id.ts'
import { type Backup, backUp as makeBackup } from '../store/backup.ts'
import { restore as putBack, type Restored } from '../store/restore.ts'
import { Webhooks } from '../webhooks/webhooks.ts'
import { databasePath, openFoundation } from './foundation.ts'
import { VERSION } from './version.ts'

/**
 * The control plane over a home that no server runs on, in this process, under the home's lock.
 *
 * @throws HomeLockedError when another process has the home.
 */
export async function openOffline(config: Config): Promise<OfflineControl> {
  const foundation = await openFoundation(config)
  try {
    const { store, token, pepper } = foundation
    const publisher = await createPublisher(() => store.loadState())
    const startedMs = Date.now()
    const control = createControlApp({
      store,
      snapshot: publisher.current,
      publish: publisher.publish,
      status: () => ({
        version: VERSION,
        startedMs,
        listening: [],
        upstreams: [],
        journal: { healthy: true, detail: '' },
      }),
      clock: SYSTEM_CLOCK,
      randomBytes,
      pepper,
      operatorToken: token,
      billing: config.billing,
      payments: { list: page => store.payments.list(page) },
      webhooks: new Webhooks({
        settings: config.webhooks,
        outbox: store.outbox,
        clock: SYSTEM_CLOCK,
        newId: createIdMaker(() => Date.now()),
      }),
    })
    return {
      async send(request) {
        const authorised = new Request(request)
        authorised.headers.set('authorization', `Bearer ${token}`)
        return control.fetch(authorised)
      },
      close: foundation.release,
    }
  } catch (error) {
    await foundation.release()
    throw error
  }
}

/** Copies the database of a home to a file, or with the pepper to a folder, beside a server that may run. */
export function backUp(config: Config, target: string, { whole }: { whole: boolean }): Backup {
  return makeBackup({
    databasePath: databasePath(config.home),
    target,
    pepperPath: whole ? join(config.home, 'pepper') : null,
  })
}

/**
 * Puts a backup in place of the database of a home; what was there stays beside it.
 *
 * @throws HomeLockedError when another process has the home.
 */
export function restore(config: Config, source: string): Restored {
  return putBack(source, config.home, Date.now())
}
