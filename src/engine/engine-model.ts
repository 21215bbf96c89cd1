import { rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { UpstreamFailure } from '../inference/event.ts'
import type { GenerationInput } from '../inference/request.ts'
import type { Attempt, AttemptHandle, AttemptSink } from '../inference/upstream.ts'
import type { Clock } from '../std/clock.ts'
import { AttemptRun } from './attempt-run.ts'
import type { CacheStatus, ChildOptions, FromChild, LoadedModel } from './messages.ts'
import { RestartPolicy } from './restart-policy.ts'
import { type Child, type ChildExit, spawnChild } from './supervisor.ts'
import { fromWire } from './wire-event.ts'

/** An engine that could not do what was asked of it. */
export class EngineFailure extends Error {
  override name = 'EngineFailure'
  readonly failure: UpstreamFailure

  constructor(failure: UpstreamFailure) {
    super(failure.message)
    this.failure = failure
  }
}

/** How one model of the engine is doing. */
export interface EngineModelStatus {
  readonly name: string
  readonly state: 'unloaded' | 'loading' | 'ready' | 'closed'
  readonly pid?: number
  readonly loaded?: LoadedModel
  readonly running: number
  readonly queued: number
  readonly failuresInRow: number
  readonly lastFailure?: string
  readonly cache?: CacheStatus
  /** The last of what the child wrote; for the operator only. */
  readonly logTail?: string
}

/** One attempt on its way: `sent` once the child knows it. */
interface Run {
  readonly id: number
  readonly attempt: Attempt
  readonly out: AttemptRun
  readonly begunMs: number
  sent: boolean
}

/**
 * One model and the child that runs it, which may come and go: loaded on first use, started again when it crashes,
 * stopped when its memory is needed. A crash fails the attempts that it was running and nothing else.
 */
export class EngineModel {
  readonly name: string
  readonly childOptions: ChildOptions
  readonly #queueDepthMax: number
  readonly #idleUnloadMs: number
  readonly #clock: Clock
  readonly #admit: (model: EngineModel) => Promise<void>
  readonly #policy = new RestartPolicy()
  readonly #runs = new Map<number, Run>()
  readonly #counts = new Map<number, { resolve(tokens: number): void; reject(error: Error): void }>()
  #nextId = 1
  #child: Child | undefined
  #loaded: LoadedModel | undefined
  #loading: Promise<void> | undefined
  #loadEnds: { resolve(): void; reject(error: Error): void } | undefined
  #stopping: Promise<void> | undefined
  #closed = false
  #cache: CacheStatus | undefined
  #lastFailure: string | undefined
  #logTail = ''
  #attemptMs = 1_000
  #idleWaiters: (() => void)[] = []
  #idleTimer = false
  usedMs = 0

  /** `admit` finds memory for the model before it is loaded, or throws `EngineFailure`. */
  constructor(options: {
    childOptions: ChildOptions
    queueDepthMax: number
    idleUnloadMs: number
    clock: Clock
    admit: (model: EngineModel) => Promise<void>
  }) {
    this.name = options.childOptions.name
    this.childOptions = options.childOptions
    this.#queueDepthMax = options.queueDepthMax
    this.#idleUnloadMs = options.idleUnloadMs
    this.#clock = options.clock
    this.#admit = options.admit
  }

  /** True while a child exists, loaded or loading. */
  get resident(): boolean {
    return this.#child !== undefined
  }

  get idle(): boolean {
    return this.#runs.size === 0 && this.#counts.size === 0 && this.#loading === undefined
  }

  get running(): number {
    let running = 0
    for (const run of this.#runs.values()) if (run.out.started) running++
    return running
  }

  get queued(): number {
    return this.#runs.size - this.running
  }

  status(): EngineModelStatus {
    return {
      name: this.name,
      state: this.#closed
        ? 'closed'
        : this.#loaded !== undefined
          ? 'ready'
          : this.#loading !== undefined
            ? 'loading'
            : 'unloaded',
      pid: this.#child?.pid,
      loaded: this.#loaded,
      running: this.running,
      queued: this.queued,
      failuresInRow: this.#policy.failures,
      lastFailure: this.#lastFailure,
      cache: this.#cache,
      logTail: this.#child?.tail() ?? this.#logTail,
    }
  }

  run(attempt: Attempt, sink: AttemptSink): AttemptHandle {
    const refusal = this.#refusal()
    if (refusal !== undefined) {
      // Never within `run`: the caller has no handle yet.
      setImmediate(() => sink.onEnd({ kind: 'failed', failure: refusal }))
      return { cancel() {}, pause() {}, resume() {} }
    }
    const id = this.#nextId++
    const out = new AttemptRun(sink, () => this.#child?.send({ type: 'cancel', id }))
    const run: Run = { id, attempt, out, begunMs: this.#clock.monotonicMs(), sent: false }
    this.#runs.set(id, run)
    this.usedMs = run.begunMs
    if (this.#loaded !== undefined) setImmediate(() => this.#send(run))
    else this.load().catch(() => {})
    return {
      cancel: () => {
        out.cancel()
        if (out.over) return
        this.#cancel(run)
      },
      pause: () => out.pause(),
      resume: () => out.resume(),
    }
  }

  /** Exact input tokens, template included. Rejects with a reason. */
  async count(input: GenerationInput): Promise<number> {
    await this.load()
    const child = this.#child
    if (child === undefined) throw new EngineFailure(disconnected('before it could count'))
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#counts.set(id, { resolve, reject })
      child.send({ type: 'count', id, input })
    })
  }

  /** Resolves when the model can run; starts it where needed. Rejects with `EngineFailure`. */
  load(): Promise<void> {
    if (this.#loaded !== undefined) return Promise.resolve()
    if (this.#loading === undefined) {
      this.#loading = this.#start().then(
        () => this.#startWaiting(),
        error => this.#loadFailed(error),
      )
    }
    return this.#loading
  }

  /** Stops the child to free its memory; only when idle. */
  async unload(): Promise<void> {
    const child = this.#child
    if (child === undefined || this.#stopping !== undefined) return this.#stopping
    this.#stopping = child.stop().finally(() => {
      this.#stopping = undefined
    })
    return this.#stopping
  }

  /** Takes no new work, waits for running work until the deadline, cancels what is left, stops the child. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true
    if (this.#runs.size > 0) await this.#settled(graceMs)
    // The newest first, so that no slot is given to one that is cancelled next.
    for (const run of [...this.#runs.values()].reverse()) this.#cancel(run)
    if (this.#runs.size > 0) await this.#settled(1_000)
    await this.unload()
  }

  /** Why a new attempt cannot be taken now. */
  #refusal(): UpstreamFailure | undefined {
    if (this.#closed) {
      return { reason: 'refused', message: 'The engine is stopping.', retryable: true }
    }
    const waiting = this.#runs.size - this.childOptions.slots
    if (waiting >= this.#queueDepthMax) {
      const retryAfterMs = Math.min(30_000, Math.max(250, (this.#attemptMs * (waiting + 1)) / this.childOptions.slots))
      return {
        reason: 'overloaded',
        message: `All ${this.childOptions.slots} slots of the model are busy and ${waiting} requests wait; the bound is ${this.#queueDepthMax}.`,
        retryable: true,
        retryAfterMs: Math.ceil(retryAfterMs),
      }
    }
    const waitMs =
      this.#loading === undefined && !this.#policy.mayRestart ? this.#policy.waitMs(this.#clock.monotonicMs()) : 0
    if (waitMs > 0) {
      return {
        reason: 'unavailable',
        message:
          `The engine failed ${this.#policy.failures} times in a row; the next start is in ${Math.ceil(waitMs / 1000)} s. ${this.#lastFailure ?? ''}`.trim(),
        retryable: true,
        retryAfterMs: Math.ceil(waitMs),
      }
    }
    return undefined
  }

  async #start(): Promise<void> {
    await this.#stopping
    const waitMs = this.#policy.waitMs(this.#clock.monotonicMs())
    if (waitMs > 0) await sleep(waitMs)
    await this.#admit(this)
    if (this.#closed)
      throw new EngineFailure({ reason: 'refused', message: 'The engine is stopping.', retryable: true })
    const ends = new Promise<void>((resolve, reject) => {
      this.#loadEnds = { resolve, reject }
    })
    const child = spawnChild({
      onMessage: message => {
        if (this.#child === child) this.#received(message)
      },
      onExit: exit => this.#exited(child, exit),
    })
    this.#child = child
    child.send({ type: 'load', options: this.childOptions })
    await ends
  }

  #startWaiting(): void {
    this.#loading = undefined
    for (const run of this.#runs.values()) this.#send(run)
  }

  #loadFailed(error: unknown): never {
    this.#loading = undefined
    const failure: UpstreamFailure =
      error instanceof EngineFailure
        ? error.failure
        : { reason: 'unavailable', message: error instanceof Error ? error.message : String(error), retryable: true }
    this.#lastFailure = failure.message
    for (const run of this.#runs.values()) this.#finish(run, () => run.out.end({ kind: 'failed', failure }))
    throw new EngineFailure(failure)
  }

  #send(run: Run): void {
    if (run.sent || run.out.over || this.#child === undefined || this.#loaded === undefined) return
    run.sent = true
    const { request, outputTokensMax, cacheSalt } = run.attempt
    this.#child.send({
      type: 'run',
      id: run.id,
      input: request.input,
      sampling: request.sampling,
      n: request.n,
      outputTokensMax,
      cacheSalt,
    })
  }

  #cancel(run: Run): void {
    if (run.sent) {
      this.#child?.send({ type: 'cancel', id: run.id })
      return
    }
    // Never within `cancel`, as little as within `run`; meanwhile the child may have become ready and got it.
    setImmediate(() => {
      if (run.sent) this.#child?.send({ type: 'cancel', id: run.id })
      else this.#finish(run, () => run.out.end({ kind: 'cancelled' }))
    })
  }

  #received(message: FromChild): void {
    switch (message.type) {
      case 'loaded':
        this.#loaded = message.model
        this.#loadEnds?.resolve()
        break
      case 'load-failed':
        this.#policy.failed(this.#clock.monotonicMs())
        this.#loadEnds?.reject(
          new EngineFailure({
            reason: 'unavailable',
            message: `The model could not be loaded: ${message.message}${this.#hint(this.#child?.tail() ?? '')}`,
            retryable: true,
          }),
        )
        this.unload()
        break
      case 'happened':
        if (message.cache !== undefined) this.#cache = message.cache
        for (const [id, event, end] of message.list) {
          const run = this.#runs.get(id)
          if (run === undefined) continue
          if (event !== null) run.out.event(fromWire(event))
          if (end !== undefined) {
            if (end.kind === 'completed') {
              this.#policy.succeeded()
              this.#attemptMs += (this.#clock.monotonicMs() - run.begunMs - this.#attemptMs) / 8
            }
            this.#finish(run, () => run.out.end(end))
          }
        }
        break
      case 'counted':
        this.#counts.get(message.id)?.resolve(message.tokens)
        this.#counts.delete(message.id)
        break
      case 'count-failed':
        this.#counts
          .get(message.id)
          ?.reject(new EngineFailure({ reason: 'bad_request', message: message.message, retryable: false }))
        this.#counts.delete(message.id)
        break
    }
  }

  /** What llama.cpp said last about an error, without the path of the file. */
  #hint(tail: string): string {
    const lines = tail.split('\n').filter(line => /error|failed|unsupported|unknown/i.test(line))
    const last = lines.at(-1)?.trim().replaceAll(this.childOptions.modelPath, 'the file')
    return last === undefined ? '' : ` (${last.slice(0, 300)})`
  }

  #exited(child: Child, exit: ChildExit): void {
    if (this.#child !== child) return
    const asked = this.#stopping !== undefined
    this.#logTail = child.tail()
    this.#child = undefined
    const wasLoaded = this.#loaded !== undefined
    this.#loaded = undefined
    this.#cache = undefined
    // The child wipes its states itself unless it was killed.
    if (this.childOptions.cacheDir !== undefined) rmSync(this.childOptions.cacheDir, { recursive: true, force: true })
    const how = exit.signal === null ? `with code ${exit.code ?? 'unknown'}` : `by ${exit.signal}`
    const failure = disconnected(`(ended ${how})`)
    if (!asked) {
      this.#policy.failed(this.#clock.monotonicMs())
      this.#lastFailure = failure.message
    }
    this.#loadEnds?.reject(
      new EngineFailure({ ...failure, reason: 'unavailable', message: failure.message + this.#hint(this.#logTail) }),
    )
    this.#loadEnds = undefined
    for (const { reject } of this.#counts.values()) reject(new EngineFailure(failure))
    this.#counts.clear()
    let waiting = 0
    for (const run of this.#runs.values()) {
      if (run.sent) this.#finish(run, () => run.out.end({ kind: 'failed', failure }))
      else waiting++
    }
    // Start again for the next request rather than with it, and for those that were not sent yet.
    if (
      !this.#closed &&
      this.#loading === undefined &&
      (waiting > 0 || (wasLoaded && !asked && this.#policy.mayRestart))
    ) {
      this.load().catch(() => {})
    }
  }

  #finish(run: Run, tell: () => void): void {
    this.#runs.delete(run.id)
    this.usedMs = this.#clock.monotonicMs()
    tell()
    if (this.#runs.size > 0) return
    for (const wake of this.#idleWaiters.splice(0)) wake()
    this.#unloadWhenIdle()
  }

  /** Gives the memory back once nothing was asked for long enough. */
  #unloadWhenIdle(): void {
    if (this.#idleUnloadMs <= 0 || this.#idleTimer) return
    this.#idleTimer = true
    this.#clock.after(this.#idleUnloadMs, () => {
      this.#idleTimer = false
      if (!this.resident) return
      const idleMs = this.#clock.monotonicMs() - this.usedMs
      if (this.idle && idleMs >= this.#idleUnloadMs) this.unload()
      else this.#unloadWhenIdle()
    })
  }

  /** Resolves when no attempt is left, or after `waitMs`. */
  #settled(waitMs: number): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, waitMs)
      this.#idleWaiters.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }
}

function disconnected(detail: string): UpstreamFailure {
  return { reason: 'disconnected', message: `The engine process went away ${detail}.`, retryable: true }
}
