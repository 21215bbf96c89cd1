import type { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { BatchWriter } from './batch-writer.ts'
import { ControlWrites } from './control-writes.ts'
import type { FromWorker, ToWorker, WorkerFailure, WorkerSettings } from './messages.ts'
import { Names } from './names.ts'
import { openForReading, openForWriting } from './open-database.ts'
import {
  creditedTotal,
  interrupted,
  loadState,
  priceById,
  transfersOf,
  usageByRequest,
  usageList,
  usageSummary,
} from './reads.ts'
import { verify } from './verify.ts'

/** SQLite's primary result codes (sqlite.org/rescode.html). */
const SQLITE_IOERR = 10
const SQLITE_CORRUPT = 11
const SQLITE_FULL = 13
/** The write-ahead log is carried over into the database when it has so many pages (4 MiB), by SQLite after a commit. */
const settings = workerData as WorkerSettings
const port = parentPort
if (port === null) throw new Error('worker.ts runs in a worker thread')

type Method = (...args: never[]) => unknown

function methodsOf(database: DatabaseSync, names: Names | null): Record<string, Method> {
  const reads: Record<string, Method> = {
    loadState: () => loadState(database),
    usageByRequest: (requestId: string) => usageByRequest(database, requestId),
    usageList: (...args: [never, never]) => usageList(database, ...args),
    usageSummary: (...args: [never, never]) => usageSummary(database, ...args),
    creditedTotal: (orgId: string) => creditedTotal(database, orgId),
    priceById: (priceId: string) => priceById(database, priceId),
    transfersOf: (filter: { requestId: string }) => transfersOf(database, filter),
    interrupted: () => interrupted(database),
    verify: () => verify(database),
  }
  if (names === null) return reads
  const writes = new ControlWrites(database, names)
  return {
    ...reads,
    createOrg: (org: never) => writes.createOrg(org),
    updateOrg: (...args: [never, never]) => writes.updateOrg(...args),
    createKey: (key: never) => writes.createKey(key),
    updateKey: (...args: [never, never]) => writes.updateKey(...args),
    revokeKey: (...args: [never, never]) => writes.revokeKey(...args),
    addCredit: (transfer: never) => writes.addCredit(transfer),
    putModel: (model: never) => writes.putModel(model),
    removeModel: (modelId: never) => writes.removeModel(modelId),
    setPrice: (price: never) => writes.setPrice(price),
  }
}

function failureOf(error: unknown): WorkerFailure {
  const { message, errcode, code } = error as { message: string; errcode?: number; code?: string }
  const primary = errcode === undefined ? 0 : errcode & 0xff
  const kind =
    primary === SQLITE_FULL ? 'full' : primary === SQLITE_IOERR || primary === SQLITE_CORRUPT ? 'io' : 'refused'
  return { message, kind, ...(code === undefined ? {} : { code }) }
}

function send(message: FromWorker): void {
  port?.postMessage(message)
}

function start(): void {
  let database: DatabaseSync
  try {
    database =
      settings.mode === 'write' ? openForWriting(settings.path, settings.pagesMax) : openForReading(settings.path)
  } catch (error) {
    send({ type: 'failed-to-open', name: (error as Error).name, message: (error as Error).message })
    return
  }
  const names = settings.mode === 'write' ? new Names(database) : null
  const writer = names === null ? null : new BatchWriter(database, names)
  if (settings.mode === 'write') {
    // What is still admitted at a start was cut off by a crash.
    database.exec(
      'BEGIN IMMEDIATE; INSERT OR IGNORE INTO interrupted SELECT * FROM admissions; DELETE FROM admissions; COMMIT',
    )
  }
  const methods = methodsOf(database, names)
  port?.on('message', (message: ToWorker) => {
    if (message.type === 'close') {
      database.close()
      port?.close()
      return
    }
    try {
      if (message.type === 'batch') {
        writer?.write(message.batch)
        send({ type: 'done', id: message.id })
      } else {
        const result = methods[message.method]?.(...(message.args as never[]))
        send({ type: 'done', id: message.id, result })
      }
    } catch (error) {
      send({ type: 'failed', id: message.id, failure: failureOf(error) })
    }
  })
  send({ type: 'ready' })
}

start()
