import { join } from 'node:path'
import type { InferenceRequest, Sampling } from '../inference/request.ts'
import type { Attempt, AttemptHandle, AttemptSink, Upstream, UpstreamLoad } from '../inference/upstream.ts'
import { type Clock, SYSTEM_CLOCK } from '../std/clock.ts'
import { chooseCacheFolder } from './cache-folder.ts'
import { EngineFailure, type EngineModelStatus } from './engine-model.ts'
import { type EngineModelOptions, EnginePool } from './engine-pool.ts'
import type { MemoryPlan } from './memory-plan.ts'
import { threadBudget } from './threads.ts'

/** How to build the embedded engine. */
export interface EngineOptions {
  /** Id of the upstream; default `engine`. */
  readonly id?: string
  readonly models: readonly EngineModelOptions[]
  /** Folder of this installation; prompt states go there when there is no memory-backed one with room. */
  readonly stateDir: string
  /** Attempts of one model that may wait for a slot; default 256. */
  readonly queueDepthMax?: number
  /** Threads that all children use together; default all cores, less one where there are more than two. */
  readonly threads?: number
  /** Memory that all children may take together by plan; default whatever is available. */
  readonly memoryBytesMax?: number
  /** Bytes of saved prompt states of each model; default 512 MiB; 0 switches the prompt cache off. */
  readonly cacheBytesMax?: number
  /** Prompts that bring fewer new tokens than this are not saved; default 64. */
  readonly cacheTokensMin?: number
  /** Folder for prompt states; default one in memory where there is room, else one in `stateDir`. Its content is deleted. */
  readonly cacheDir?: string
  /** A model unused for so long gives its memory back; default 0: only when another model needs it. */
  readonly idleUnloadMs?: number
  /** Build of the binding; default the one for CPUs, which has Metal on a Mac. */
  readonly variant?: 'default' | 'cuda' | 'vulkan'
  /** Folder whose `node_modules` holds the binding and its build; default the one that came along. */
  readonly libraryDir?: string
  readonly clock?: Clock
}

/** How the engine is doing. */
export interface EngineStatus {
  /** Threads that all children may use together. */
  readonly threads: number
  readonly cacheFolder: string
  readonly models: readonly (EngineModelStatus & { readonly plan?: MemoryPlan })[]
}

/** The embedded engine: to everyone else one more upstream. */
export interface EngineUpstream extends Upstream {
  countInput(request: InferenceRequest, upstreamModel: string): Promise<number>
  status(): EngineStatus
  /** Offers one more model; nothing is loaded. */
  addModel(options: EngineModelOptions): void
  /** Loads a model before its first request: the named one, or the first. Rejects with `EngineFailure`. */
  warm(upstreamModel?: string): Promise<void>
}

/** Builds the embedded engine. Nothing is started until the first request, or `warm`. */
export function createEngineUpstream(options: EngineOptions): EngineUpstream {
  const threads = Math.min(options.threads ?? threadBudget(), threadBudget())
  const queueDepthMax = options.queueDepthMax ?? 256
  const cacheBytesMax = options.cacheBytesMax ?? 512 * 2 ** 20
  const cacheFolder =
    options.cacheDir === undefined
      ? chooseCacheFolder(options.stateDir, cacheBytesMax)
      : { path: join(options.cacheDir, 'prompt-cache'), inMemory: false }
  const pool = new EnginePool({
    queueDepthMax,
    threads,
    memoryBytesMax: options.memoryBytesMax,
    cacheFolder,
    cacheBytesMax,
    cacheTokensMin: options.cacheTokensMin ?? 64,
    idleUnloadMs: options.idleUnloadMs ?? 0,
    variant: options.variant ?? 'default',
    libraryDir: options.libraryDir,
    clock: options.clock ?? SYSTEM_CLOCK,
  })
  for (const model of options.models) pool.add(model)

  function run(attempt: Attempt, sink: AttemptSink): AttemptHandle {
    let handle: AttemptHandle | undefined
    let cancelled = false
    let paused = false
    pool.model(attempt.upstreamModel).then(
      model => {
        if (cancelled) {
          sink.onEnd({ kind: 'cancelled' })
          return
        }
        handle = model.run(withDefaults(attempt, pool.samplingOf(attempt.upstreamModel)), sink)
        if (paused) handle.pause()
      },
      error => sink.onEnd({ kind: 'failed', failure: failureOf(error) }),
    )
    return {
      cancel() {
        cancelled = true
        handle?.cancel()
      },
      pause() {
        paused = true
        handle?.pause()
      },
      resume() {
        paused = false
        handle?.resume()
      },
    }
  }

  return {
    id: options.id ?? 'engine',
    kind: 'engine',
    stoppable: true,
    queuesOwnWork: true,
    // Prompt states are those of the org, in a folder that is wiped when the server stops.
    keepsNoPrompts: true,
    run,
    async countInput(request, upstreamModel) {
      return (await pool.model(upstreamModel)).count(request.input)
    },
    load(upstreamModel): UpstreamLoad {
      let running = 0
      let queued = 0
      let busy = false
      for (const model of pool.models) {
        running += model.running
        // The bound is on each model's queue: a crowd before one leaves the others open.
        if (upstreamModel === undefined || model.name === upstreamModel) queued += model.queued
        if (model.name === upstreamModel) busy = model.queued > 0 || model.running >= model.childOptions.slots
      }
      return { running, queued, queueDepthMax, busy }
    },
    close: graceMs => pool.close(graceMs),
    status: () => ({
      threads,
      cacheFolder: cacheFolder.path,
      models: pool.models.map(model => ({ ...model.status(), plan: pool.plan(model.name) })),
    }),
    addModel: model => pool.add(model),
    async warm(upstreamModel) {
      const name = upstreamModel ?? pool.names()[0]
      if (name !== undefined) await (await pool.model(name)).load()
    },
  }
}

function failureOf(error: unknown): EngineFailure['failure'] {
  if (error instanceof EngineFailure) return error.failure
  return { reason: 'internal', message: error instanceof Error ? error.message : String(error), retryable: false }
}

// What the client left unsaid is the model's to say: small models answer badly at the sampling that suits large ones.
function withDefaults(attempt: Attempt, defaults: Partial<Sampling>): Attempt {
  const said = Object.fromEntries(Object.entries(attempt.request.sampling).filter(([, value]) => value !== undefined))
  const sampling = { ...defaults, ...said } as Sampling
  return { ...attempt, request: { ...attempt.request, sampling } }
}
