import { existsSync, statSync } from 'node:fs'
import type { Sampling } from '../inference/request.ts'
import type { Clock } from '../std/clock.ts'
import { type CacheFolder, resetCacheFolder, wipeCacheFolder } from './cache-folder.ts'
import { EngineFailure, EngineModel } from './engine-model.ts'
import {
  availableMemoryBytes,
  gib,
  type MemoryPlan,
  type ModelHead,
  planMemory,
  readModelHead,
  weightsBytesOf,
} from './memory-plan.ts'
import type { ChildOptions } from './messages.ts'
import { shareThreads } from './threads.ts'

/** Context of a slot when nothing is said: enough for a chat, small enough for four slots on a laptop. */
const SLOT_TOKENS_DEFAULT = 8_192
/** Longest input to embed or rank when nothing is said: attention over all pairs of its tokens takes memory by the square. */
const VECTOR_TOKENS_DEFAULT = 2_048
const SLOTS_DEFAULT = 4
/**
 * Prompt tokens of one step. Every other sequence waits for the step to end, and so does a cancel. On a CPU larger steps
 * gain nothing (27 ms a token at 32, 64, 128 and 512 alike, SmolLM2-135M); a GPU needs them.
 */
const BATCH_TOKENS_CPU = 64
const BATCH_TOKENS_GPU = 512

/** One model file and how to run it. */
export interface EngineModelOptions {
  /** The name that targets use for it. */
  readonly name: string
  /** The GGUF file; of a split model the first part. */
  readonly path: string
  /** Sequences generated at the same time; default 4. */
  readonly slots?: number
  /**
   * Context tokens of each slot; default what the model was trained for, at most 8,192. Of a model that embeds or ranks the longest
   * input, never more than it was trained for; default at most 2,048.
   */
  readonly contextTokens?: number
  /** Replaces the chat template of the file. */
  readonly chatTemplate?: string
  /** Used where a request says nothing. */
  readonly sampling?: Partial<Sampling>
  /** Layers to put on a GPU; default all where the build has one (CUDA, Vulkan, Metal), else 0. */
  readonly gpuLayers?: number
  /**
   * Flash attention makes prompts about a tenth faster on a CPU, but its sums depend on how a prompt was cut into
   * batches, so that an answer could change when its prompt came from the cache. Default `off` on a CPU, else `auto`.
   */
  readonly flashAttention?: 'auto' | 'on' | 'off'
}

/** Settings that all models of the engine share. */
export interface EnginePoolOptions {
  /** Attempts of one model that may wait for a slot. */
  readonly queueDepthMax: number
  /** Threads that all children may use together. */
  readonly threads: number
  /** Memory that all children may take together by plan; default whatever the machine has. */
  readonly memoryBytesMax?: number
  readonly cacheFolder: CacheFolder
  /** Bytes of saved prompt states of one model; 0 switches the cache off. */
  readonly cacheBytesMax: number
  readonly cacheTokensMin: number
  /** A model unused for so long is unloaded; 0: only when another needs its memory. */
  readonly idleUnloadMs: number
  readonly variant: 'default' | 'cuda' | 'vulkan'
  readonly libraryDir?: string
  readonly clock: Clock
}

interface Member {
  readonly options: EngineModelOptions
  model: EngineModel | undefined
  /** The reading of the file's head, shared by all that wait for it, so that they go on in the order they came. */
  building: Promise<EngineModel> | undefined
  plan: MemoryPlan | undefined
}

/**
 * Owns the children of several models: knows what each takes before it is loaded, unloads the one that was idle
 * longest when another needs its memory or threads, and refuses with numbers what cannot fit.
 */
export class EnginePool {
  readonly #options: EnginePoolOptions
  readonly #members = new Map<string, Member>()
  #admission: Promise<void> = Promise.resolve()
  #folderReady = false
  #closed = false

  constructor(options: EnginePoolOptions) {
    this.#options = options
  }

  /** Adds a model, whose file may come later; nothing is loaded. A model of the same name is left as it is. */
  add(options: EngineModelOptions): void {
    if (this.#members.has(options.name)) return
    this.#members.set(options.name, { options, model: undefined, building: undefined, plan: undefined })
  }

  get models(): readonly EngineModel[] {
    return [...this.#members.values()].flatMap(member => (member.model === undefined ? [] : [member.model]))
  }

  plan(name: string): MemoryPlan | undefined {
    return this.#members.get(name)?.plan
  }

  /** Sampling that the model's publisher advises, for what a request leaves unsaid. */
  samplingOf(name: string): Partial<Sampling> {
    return this.#members.get(name)?.options.sampling ?? {}
  }

  names(): readonly string[] {
    return [...this.#members.keys()]
  }

  /** The model of that name, ready to take attempts. Rejects with `EngineFailure` when it cannot be known. */
  async model(name: string): Promise<EngineModel> {
    const member = this.#members.get(name)
    if (member === undefined) throw unavailable(`The engine has no model named "${name}".`)
    if (member.model !== undefined) return member.model
    member.building ??= this.#describe(member).finally(() => {
      member.building = undefined
    })
    return member.building
  }

  /** Drains and stops all children, and deletes the prompt states. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true
    await Promise.all(this.models.map(model => model.close(graceMs)))
    if (this.#folderReady) wipeCacheFolder(this.#options.cacheFolder)
  }

  async #describe(member: Member): Promise<EngineModel> {
    const { name, path } = member.options
    if (!existsSync(path)) throw unavailable(`The file of the model "${name}" does not exist; fetch it again.`)
    let head: ModelHead
    try {
      head = await readModelHead(path)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw unavailable(`The file of the model "${name}" is not a readable GGUF file: ${reason}`)
    }
    member.model = this.#build(member, head)
    return member.model
  }

  #build(member: Member, { shape, purpose, pooling }: ModelHead): EngineModel {
    const { options } = member
    const slots = options.slots ?? SLOTS_DEFAULT
    const generates = purpose === 'generate'
    const projector = generates ? projectorBeside(options.path) : undefined
    const slotTokens = roundUp(slotTokensOf(options, shape.contextTokens, generates), 256)
    const gpuLayers =
      options.gpuLayers ?? (process.platform === 'darwin' || this.#options.variant !== 'default' ? 999 : 0)
    const flashAttention = options.flashAttention ?? (gpuLayers > 0 ? 'auto' : 'off')
    const { cacheFolder, threads } = this.#options
    // States in memory compete with the model: on a small machine they get an eighth of what is there.
    // What is embedded or ranked is read once and leaves none.
    const cacheBytesMax = !generates
      ? 0
      : cacheFolder.inMemory
        ? Math.min(this.#options.cacheBytesMax, Math.floor(availableMemoryBytes() / 8))
        : this.#options.cacheBytesMax
    const childOptions: ChildOptions = {
      name: options.name,
      modelPath: options.path,
      purpose,
      projectorPath: projector,
      pooling: pooling === undefined || pooling === 'none' ? 'mean' : undefined,
      slots,
      slotTokens,
      threads: shareThreads(threads, this.#members.size).perChild,
      // An input to embed or rank must fit into one step.
      batchTokens: generates ? Math.max(slots, gpuLayers > 0 ? BATCH_TOKENS_GPU : BATCH_TOKENS_CPU) : slotTokens,
      gpuLayers,
      flashAttention,
      chatTemplate: options.chatTemplate,
      variant: this.#options.variant,
      libraryDir: this.#options.libraryDir,
      cacheDir: cacheBytesMax > 0 ? `${cacheFolder.path}/${encodeURIComponent(options.name)}` : undefined,
      cacheBytesMax,
      cacheTokensMin: this.#options.cacheTokensMin,
    }
    member.plan = planMemory(shape, {
      weightsBytes: weightsBytesOf(options.path) + (projector === undefined ? 0 : statSync(projector).size),
      slots,
      slotTokens,
      batchTokens: childOptions.batchTokens,
      flashAttention: flashAttention !== 'off',
      cacheBytes: cacheFolder.inMemory ? cacheBytesMax : 0,
    })
    return new EngineModel({
      childOptions,
      queueDepthMax: this.#options.queueDepthMax,
      idleUnloadMs: this.#options.idleUnloadMs,
      clock: this.#options.clock,
      admit: model => this.#admit(model, member),
    })
  }

  /** One at a time: two models must not be given the same memory. */
  #admit(model: EngineModel, member: Member): Promise<void> {
    const admitted = this.#admission.then(() => this.#makeRoom(model, member.plan as MemoryPlan))
    this.#admission = admitted.catch(() => {})
    return admitted
  }

  async #makeRoom(model: EngineModel, plan: MemoryPlan): Promise<void> {
    if (this.#closed) throw unavailable('The engine is stopping.')
    for (;;) {
      const lack = this.#lack(model, plan)
      if (lack === undefined) break
      const idle = this.models
        .filter(other => other !== model && other.resident && other.idle)
        .sort((a, b) => a.usedMs - b.usedMs)[0]
      if (idle === undefined) throw unavailable(lack)
      await idle.unload()
    }
    if (!this.#folderReady && this.#options.cacheBytesMax > 0) {
      resetCacheFolder(this.#options.cacheFolder)
      this.#folderReady = true
    }
  }

  /** What stands in the way of loading a model, with numbers; undefined when nothing does. */
  #lack(model: EngineModel, plan: MemoryPlan): string | undefined {
    const others = this.models.filter(other => other !== model && other.resident)
    const threads = others.reduce((sum, other) => sum + other.childOptions.threads, 0)
    if (others.length > 0 && threads + model.childOptions.threads > this.#options.threads) {
      return `All ${this.#options.threads} engine threads are in use by other models that are busy; repeat later.`
    }
    const planned = others.reduce((sum, other) => sum + (this.plan(other.name)?.totalBytes ?? 0), 0)
    const bound = (this.#options.memoryBytesMax ?? Number.POSITIVE_INFINITY) - planned
    const available = Math.min(availableMemoryBytes(), bound)
    if (plan.totalBytes <= available) return undefined
    const { name } = model
    return (
      `The model "${name}" needs ${gib(plan.totalBytes)} (weights ${gib(plan.weightsBytes)}, context ${gib(plan.stateBytes)}, ` +
      `scratch ${gib(plan.computeBytes)}, prompt cache ${gib(plan.cacheBytes)}) and ${gib(Math.max(0, available))} are available. ` +
      'Use fewer slots, a shorter context, a smaller model, or a higher memory bound.'
    )
  }
}

/** The projector of images of a model lies beside it, under its name with `.mmproj` before the ending. */
function projectorBeside(path: string): string | undefined {
  const beside = path.replace(/\.gguf$/, '.mmproj.gguf')
  return beside !== path && existsSync(beside) ? beside : undefined
}

/** An encoder has learned a vector for each position it was trained for, and none for those beyond. */
function slotTokensOf(options: EngineModelOptions, trainedTokens: number, generates: boolean): number {
  if (generates) return options.contextTokens ?? Math.min(trainedTokens, SLOT_TOKENS_DEFAULT)
  return Math.min(options.contextTokens ?? VECTOR_TOKENS_DEFAULT, trainedTokens)
}

function unavailable(message: string): EngineFailure {
  return new EngineFailure({ reason: 'unavailable', message, retryable: true })
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step
}
