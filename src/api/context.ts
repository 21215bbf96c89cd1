import { OpenAPIHono, type z } from '@hono/zod-openapi'
import type { Caller } from '../admission/authenticate.ts'
import type { KeyHasher } from '../admission/key-hasher.ts'
import type { Batches } from '../batches/batches.ts'
import type { Files } from '../files/files.ts'
import type { InferenceRequest, Surface } from '../inference/request.ts'
import type { Model, Snapshot, Target } from '../inference/snapshot.ts'
import type { Funds } from '../ledger/books.ts'
import type { CreditTotals } from '../ledger/grant.ts'
import type { Settlement } from '../ledger/journal.ts'
import type { KeptDocuments } from '../ledger/kept-document.ts'
import type { TargetState } from '../protocols/openrouter-models.ts'
import type { ProtocolCodec } from '../protocols/protocol.ts'
import type { AccountPorts } from './account.ts'
import { ERROR_ANSWER } from './schemas.ts'

/** What the resources of the client API are made of. Everything that touches the world is handed in. */
export interface ClientApiDeps {
  /** The protocols that inference requests are answered in, for the API's description and to read bodies. */
  readonly codecs: readonly ProtocolCodec[]
  readonly snapshot: () => Snapshot
  readonly keyHasher: KeyHasher
  readonly nowMs: () => number
  /** Whether the lists of models need no key; absent: they do. */
  readonly publicModels?: boolean
  /** Money, keys and tokens; absent in tests of the rest. */
  readonly account?: AccountPorts
  readonly newId: (prefix: string) => string
  readonly kept: KeptDocuments
  readonly files: Pick<Files, 'begin' | 'finish' | 'find' | 'list' | 'read' | 'remove'>
  readonly batches: Pick<Batches, 'create' | 'find' | 'list' | 'cancel'>
  /** What one request of an org was charged; undefined when the org made no such request. */
  readonly usageOf: (orgId: string, requestId: string) => Promise<object | undefined>
  /** The settlement of a request of any org; null while there is none. */
  readonly settlementOf: (requestId: string) => Promise<Settlement | null>
  /** What changed an org's credit, grants that are over put back before, and what is left. */
  readonly creditOf: (orgId: string) => Promise<OrgCredit>
  /** Settled and held through a key, nanodollars. */
  readonly keySpent: (keyId: string) => { readonly settledNanodollars: bigint; readonly heldNanodollars: bigint }
  /** Charged through a key since some time, nanodollars. */
  readonly keyChargedSince: (keyId: string, fromMs: number) => Promise<bigint>
  /** How a target does; undefined when there is no such upstream. */
  readonly targetState: (target: Target) => TargetState | undefined
  /** Input tokens of a request: exact, or surely not below what the model will read; undefined where nobody can count now. */
  readonly countInput: (request: InferenceRequest, model: Model) => Promise<number | undefined>
  readonly background: RunningResponses
  /** Told of our own mistakes, which clients are not. */
  readonly onError: (error: unknown) => void
}

/** An org's credit: how it came about, and what is left of it. */
export interface OrgCredit extends Funds {
  readonly totals: CreditTotals
}

/** Responses that run in the background. */
export interface RunningResponses {
  /** How far one is that is kept as unfinished. */
  statusOf(id: string): 'queued' | 'in_progress'
  /** Stops one, and resolves when what is kept of it says how it ended; at once when none of that id runs. */
  cancel(orgId: string, id: string): Promise<void>
  /** Tells its events from the first on; see `BackgroundResponses.watch`. */
  watch(
    orgId: string,
    id: string,
    watcher: { write(text: string): void; end(): void },
  ): (() => void) | false | undefined
}

/** Who reads something that may be for everybody; null: somebody without a key. */
export type Reader = Caller | null

/** What a handler knows of the request beside what the client sent. */
export interface Variables {
  /** Who asks; not to be read on paths that need no key. */
  readonly caller: Caller
  /** Who asks; null where no key is needed and none was sent. */
  readonly reader: Reader
  /** The conventions that the answer follows. */
  readonly surface: Surface
}

/** The app that every resource adds its routes to. */
export type ClientApp = OpenAPIHono<{ Variables: Variables }>

/** An app whose validation errors are those of the table. */
export function newClientApp(
  options: ConstructorParameters<typeof OpenAPIHono<{ Variables: Variables }>>[0],
): ClientApp {
  return new OpenAPIHono<{ Variables: Variables }>(options)
}

/** The bases that OpenAI's, DeepInfra's and OpenRouter's clients use; a resource of OpenAI's is under all of them. */
export const OPENAI_BASES = ['/v1', '/v1/openai', '/api/v1'] as const

/** A JSON body that a route requires. */
export function jsonBody<Schema extends z.ZodType>(schema: Schema) {
  return { required: true as const, content: { 'application/json': { schema } } }
}

/** The answers of a route: a good one, and the error body for all else. */
export function answers<Schema extends z.ZodType>(description: string, schema: Schema) {
  return {
    200: { description, content: { 'application/json': { schema } } },
    ...ERROR_ANSWER,
  }
}
