import type { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { BatchWriter } from './batch-writer.ts'
import { ControlWrites } from './control-writes.ts'
import { Grants } from './grants.ts'
import { KeptBound } from './kept-bound.ts'
import { keptReads, keptWrites } from './kept-documents.ts'
import { limitUsage } from './limit-usage.ts'
import type { Batch, FromWorker, ToWorker, WorkerFailure, WorkerSettings } from './messages.ts'
import { Names } from './names.ts'
import { openForReading, openForWriting } from './open-database.ts'
import { outboxMethods } from './outbox.ts'
import { paymentMethods } from './payment-events.ts'
import {
  creditTotals,
  creditTransfers,
  dueGrants,
  interrupted,
  loadState,
  priceById,
  transfersOf,
  usageByRequest,
  usageList,
  usageSummary,
} from './reads.ts'
import { scopedTokenMethods } from './scoped-tokens.ts'
import { failureOf } from './sqlite-failure.ts'
import { statementReads } from './statement-reads.ts'
import { findAnswer } from './stored-answers.ts'
import { verify } from './verify.ts'

const settings = workerData as WorkerSettings
const port = parentPort
if (port === null) throw new Error('worker.ts runs in a worker thread')

type Method = (...args: never[]) => unknown

/** What only the connection that writes has. */
interface Writing {
  readonly writer: BatchWriter
  readonly control: ControlWrites
  readonly keptBound: KeptBound
}

function methodsOf(database: DatabaseSync, writing: Writing | null): Record<string, Method> {
  const reads: Record<string, Method> = {
    loadState: () => loadState(database),
    usageByRequest: (requestId: string) => usageByRequest(database, requestId),
    usageList: (...args: [never, never]) => usageList(database, ...args),
    usageSummary: (...args: [never, never]) => usageSummary(database, ...args),
    creditTotals: (orgId: string) => creditTotals(database, orgId),
    creditTransfers: (...args: [never, never]) => creditTransfers(database, ...args),
    dueGrants: (...args: [never, never]) => dueGrants(database, ...args),
    priceById: (priceId: string) => priceById(database, priceId),
    transfersOf: (filter: { requestId: string }) => transfersOf(database, filter),
    interrupted: () => interrupted(database),
    limitUsage: (...args: [never, never, never]) => limitUsage(database, ...args),
    storedAnswer: (keyHash: string) => findAnswer(database, keyHash),
    verify: () => verify(database),
    ...statementReads(database),
    ...keptReads(database),
  }
  if (writing === null) return reads
  const { writer, control: writes, keptBound } = writing
  return {
    ...reads,
    createOrg: (org: never) => writes.createOrg(org),
    updateOrg: (...args: [never, never]) => writes.updateOrg(...args),
    createProject: (project: never) => writes.createProject(project),
    putLimit: (limit: never) => writes.putLimit(limit),
    removeLimit: (limitId: string) => writes.removeLimit(limitId),
    createKey: (key: never) => writes.createKey(key),
    updateKey: (...args: [never, never]) => writes.updateKey(...args),
    revokeKey: (...args: [never, never]) => writes.revokeKey(...args),
    addCredit: (transfer: never) => writes.addCredit(transfer),
    post: (...args: [never, never]) => writes.post(...args),
    expireGrant: (...args: [never, never, never]) => writes.expireGrant(...args),
    putModel: (model: never) => writes.putModel(model),
    removeModel: (modelId: never) => writes.removeModel(modelId),
    setPrices: (prices: never) => writes.setPrices(prices),
    sweepAnswers: (nowMs: number) => writer.sweepAnswers(nowMs),
    closeMonths: (beforeMs: number, nowMs: number) => writer.closeMonths(beforeMs, nowMs),
    ...outboxMethods(database),
    ...paymentMethods(database),
    ...keptWrites(database, keptBound),
    ...scopedTokenMethods(database),
  }
}

function send(message: FromWorker): void {
  port?.postMessage(message)
}

function openFailure(error: unknown): string {
  const { message, code } = error as { message: string; code?: string }
  // Ours say what to do; those of SQLite and the system, which carry a code, say only what failed.
  if (code === undefined) return message
  return `The database ${settings.path} cannot be opened: ${message}. Check that its folder exists, can be written, and has space left.`
}

function startWriting(database: DatabaseSync): Writing {
  const names = new Names(database)
  const grants = new Grants(database)
  const keptBound = new KeptBound(database, settings.keptBytesMaxPerOrg ?? Number.MAX_SAFE_INTEGER)
  return {
    writer: new BatchWriter(database, names, grants, keptBound, settings.answersBytesMax),
    control: new ControlWrites(database, names, grants),
    keptBound,
  }
}

function start(): void {
  let database: DatabaseSync
  try {
    database =
      settings.mode === 'write' ? openForWriting(settings.path, settings.pagesMax) : openForReading(settings.path)
  } catch (error) {
    send({ type: 'failed-to-open', message: openFailure(error) })
    return
  }
  const writing = settings.mode === 'write' ? startWriting(database) : null
  if (settings.mode === 'write') {
    // What is still admitted at a start was cut off by a crash.
    database.exec(
      'BEGIN IMMEDIATE; INSERT OR IGNORE INTO interrupted SELECT * FROM admissions; DELETE FROM admissions; COMMIT',
    )
  }
  const commitDelayMs = settings.commitDelayMs ?? 0
  const pause = new Int32Array(new SharedArrayBuffer(4))
  const methods = methodsOf(database, writing)
  // After the disk has failed nothing more is tried, not even what was asked before the main thread learned of it.
  let broken: WorkerFailure | null = null
  port?.on('message', (message: ToWorker) => {
    if (message.type !== 'close' && broken !== null) {
      send({ type: 'failed', id: message.id, failure: broken })
      return
    }
    if (message.type === 'close') {
      database.close()
      port?.close()
      return
    }
    try {
      if (message.type === 'batch') {
        const refused = writing?.writer.write(JSON.parse(message.json) as Batch, message.extras)
        if (commitDelayMs > 0) Atomics.wait(pause, 0, 0, commitDelayMs)
        send({ type: 'done', id: message.id, result: refused })
      } else {
        const result = methods[message.method]?.(...(message.args as never[]))
        send({ type: 'done', id: message.id, result })
      }
    } catch (error) {
      const failure = failureOf(error)
      if (failure.kind === 'io') broken = failure
      send({ type: 'failed', id: message.id, failure })
    }
  })
  send({ type: 'ready' })
}

start()
