import type { Config } from '../config/schema.ts'

/** What starting a server tells on its way. */
export type ServeEvent =
  /** A step began, such as `store`, `model` or `listen`; `detail` says it to people. The step `download` lasts until the next one. */
  | { readonly type: 'phase'; readonly name: string; readonly detail?: string }
  | {
      readonly type: 'download'
      readonly model: string
      readonly bytesDone: number
      readonly bytesTotal: number | null
      /** Where the bytes come from. */
      readonly source: string
    }
  /** One sentence that the operator should read. */
  | { readonly type: 'note'; readonly message: string }

/** What the command line gives to a server that starts. */
export interface ServeHooks {
  /** Aborted when the operator gives up before the server runs; starting may then reject, or finish and be stopped. */
  readonly signal: AbortSignal
  onProgress(event: ServeEvent): void
}

/** A server that accepts clients. */
export interface RunningServer {
  /** Where clients find it, such as `http://127.0.0.1:8080`; the first is the one to show. */
  readonly urls: readonly string[]
  /** What the first start of a home created; null on every later one. */
  readonly firstRun: null | {
    /** The API key; this is the only time it is known. */
    readonly secret: string
    readonly orgId: string
    /** Dollars. */
    readonly credit: string
  }
  /** Models on offer. `file` is null for those that an upstream runs. */
  readonly models: readonly { readonly id: string; readonly state: string; readonly file: string | null }[]
  /** Drains and stops; a second call stops at once. Resolves when all is closed. */
  stop(): Promise<void>
  /** Resolves when the server has stopped; rejects when it had to stop on an error. */
  readonly closed: Promise<void>
}

/** The control plane of a home that no server runs on, in this process, under the home's lock. */
export interface OfflineControl {
  /** Answers a request to /control/v1, authorised by the operator token of the home, which opening has created. */
  send(request: Request): Promise<Response>
  close(): Promise<void>
}

/** The books of a backup, as they were found. */
export interface CheckedBackup {
  /** Of the schema that it was written with. */
  readonly schema: number
  readonly verification: { readonly transfers: number; readonly settlements: number }
  readonly newest: { readonly requestId: string; readonly settledMs: number } | null
}

/** A backup that was made. */
export interface MadeBackup extends CheckedBackup {
  readonly path: string
  /** Of the database in it. */
  readonly bytes: number
}

/** A backup that was put in place. */
export interface RestoredBackup extends CheckedBackup {
  /** Where the database that was there is now; null when there was none. */
  readonly replacedPath: string | null
  /** What it has beyond the backup; null when nothing was replaced, or the two could not be compared. */
  readonly loss: {
    readonly settlements: number
    readonly chargeNanodollars: bigint
    readonly transfers: number
  } | null
  /** Whose secret API keys are now hashed with; `none`: there is none, and no API key in the backup works. */
  readonly pepper: 'restored' | 'kept' | 'none'
}

/** What composes the program. All but `backUp` throw an error named `HomeLockedError` when another process has the home. */
export interface Composition {
  openOffline(config: Config): Promise<OfflineControl>
  serve(config: Config, hooks: ServeHooks): Promise<RunningServer>
  /** Copies the database to a file, beside a server that may run; `whole` makes a folder with the pepper in it. */
  backUp(config: Config, target: string, options: { whole: boolean }): MadeBackup
  /** Puts a backup in place of the home's database; no server may run. */
  restore(config: Config, source: string): RestoredBackup
}
