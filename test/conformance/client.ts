/** A client under test, and what became of its checks. */

/** How a client is started. */
export interface Client {
  /** Short and unique; words of the command line choose by it. */
  readonly id: string
  /** As it is written in the table. */
  readonly title: string
  /** The package that is tested, as its folder's lockfile names it. */
  readonly package: string
  /** Folder under `test/conformance` with the lockfile that brings it. */
  readonly folder: string
  /** Its script, under `test/conformance`. */
  readonly script: string
  /** What the script needs to know beside the world, as arguments. */
  readonly args?: readonly string[]
  /** Modules that Node loads before the script, under `test/conformance`. */
  readonly preload?: readonly string[]
}

/** Token counts; left out where the client does not tell them. */
export interface SeenUsage {
  readonly input?: number
  readonly cached?: number
  readonly output?: number
  readonly reasoning?: number
  /** Dollars. */
  readonly cost?: number
}

/** A line that a client's script printed about one check. */
export interface CheckLine {
  readonly feature: string
  readonly ok: boolean
  readonly detail?: string
  readonly usage?: SeenUsage
  readonly requestId?: string
  /** How many requests the check has to have sent. */
  readonly requests?: number
  /** What they have to have been answered with. */
  readonly statuses?: readonly number[]
  /** The client left before the end. */
  readonly cancelled?: boolean
  readonly beganMs: number
  readonly endedMs: number
}

/** `limited`: it fails, and is known to, for the reason given. */
export type Verdict = 'passed' | 'failed' | 'limited'

/** What became of one check. */
export interface CheckResult {
  readonly client: string
  readonly feature: string
  readonly verdict: Verdict
  readonly detail: string
  /** What the client told, and what the ledger has for the same requests; null when the client tells nothing. */
  readonly usage: { readonly seen: SeenUsage; readonly ledger: Required<SeenUsage> } | null
  readonly requestIds: readonly string[]
}

/** What became of a client. */
export interface ClientResult {
  readonly client: Client
  readonly version: string
  /** Why it could not run on this machine; null when it ran. */
  readonly notRun: string | null
  readonly checks: readonly CheckResult[]
  readonly seconds: number
}
