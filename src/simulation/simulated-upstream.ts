import type { UpstreamFailure } from '../inference/event.ts'
import { inputTexts } from '../inference/input-texts.ts'
import type { InferenceRequest } from '../inference/request.ts'
import type { Attempt, AttemptHandle, AttemptSink, Upstream, UpstreamLoad } from '../inference/upstream.ts'
import {
  failed,
  SimulatedAttempt,
  type SimulatedUpstreamOptions,
  UPSTREAM_FAULTS,
  type UpstreamFault,
} from './simulated-attempt.ts'
import { type EngineOutput, type EngineStep, promptTokens, SimulatedEngine } from './simulated-engine.ts'

/** An upstream on simulated time, with a simulated engine behind it and faults in front. */
export class SimulatedUpstream implements Upstream {
  readonly id: string
  readonly kind = 'simulated'
  readonly stoppable: boolean
  readonly countInput?: (request: InferenceRequest) => Promise<number>
  readonly #options: SimulatedUpstreamOptions
  readonly #engine: SimulatedEngine
  readonly #attempts = new Map<string, SimulatedAttempt>()
  #attemptCount = 0
  #stepping = false
  #closed = false

  constructor(options: SimulatedUpstreamOptions) {
    this.id = options.id
    this.stoppable = options.stoppable
    this.#options = options
    this.#engine = new SimulatedEngine(options.engine)
    if (options.countsInput) this.countInput = request => this.#countInput(request)
  }

  run(attempt: Attempt, sink: AttemptSink): AttemptHandle {
    const { rng, onFault, onAttempt, clock, latencyMs } = this.#options
    const fault = this.#faultFor(attempt.request)
    const id = `${attempt.request.id}/${this.#attemptCount++}`
    const prompt = promptOf(attempt.request)
    const outputTokens = this.#answerLengths(attempt, fault)
    const running = new SimulatedAttempt(
      this.#options,
      attempt,
      sink,
      fault,
      promptTokens(prompt),
      outputTokens,
      () => {
        this.#engine.cancel(id)
        this.#attempts.delete(id)
      },
    )
    onAttempt(running.record)
    if (fault !== null) onFault(fault)
    const refusal = this.#refusal(fault)
    const job = { id, prompt, cacheSalt: attempt.cacheSalt, outputTokens }
    if (refusal !== null || !this.#engine.submit(job)) {
      const end = { kind: 'failed', failure: refusal ?? OVERLOADED } as const
      // Some answers come within the call, as of a client library that fails before it connects.
      if (rng.chance(0.3)) running.deliver({ events: [], end })
      else clock.after(latencyMs, () => running.deliver({ events: [], end }))
      return running
    }
    this.#attempts.set(id, running)
    this.#schedule()
    return running
  }

  load(): UpstreamLoad {
    const { running, queued } = this.#engine
    return { running, queued, queueDepthMax: this.#options.engine.queueDepthMax }
  }

  close(graceMs: number): Promise<void> {
    this.#closed = true
    return new Promise(resolve =>
      this.#options.clock.after(graceMs, () => {
        for (const attempt of this.#attempts.values()) attempt.deliver({ events: [], end: failed('unavailable') })
        resolve()
      }),
    )
  }

  #faultFor(request: InferenceRequest): UpstreamFault | null {
    const { rng, faultOf, faultRate } = this.#options
    if (faultOf !== undefined) return faultOf(request)
    return rng.chance(faultRate()) ? rng.pick(UPSTREAM_FAULTS) : null
  }

  #refusal(fault: UpstreamFault | null): UpstreamFailure | null {
    if (this.#closed) return { reason: 'unavailable', message: 'closed', retryable: true }
    if (fault === 'refuses') return OVERLOADED
    if (fault === 'rejects_as_bad') return { reason: 'bad_request', message: 'rejected', retryable: false }
    return null
  }

  #answerLengths(attempt: Attempt, fault: UpstreamFault | null): number[] {
    const { rng, answerTokensMax, boundedAnswerRate } = this.#options
    const { request } = attempt
    const choices = request.input.kind === 'text' ? request.n * request.input.prompts.length : request.n
    const most = Math.min(attempt.outputTokensMax, answerTokensMax)
    return Array.from({ length: choices }, (_, choice) => {
      if (fault === 'empty_answer' || (fault === 'finishes_one_choice_then_dies' && choice === 0)) return 0
      return rng.chance(boundedAnswerRate) ? most : rng.int(Math.min(1, most), most)
    })
  }

  #countInput(request: InferenceRequest): Promise<number> {
    const { clock, latencyMs, rng } = this.#options
    const broken = rng.chance(0.1)
    return new Promise((resolve, reject) =>
      clock.after(latencyMs, () => {
        if (broken) reject(new Error('the engine cannot count now'))
        else resolve(promptTokens(promptOf(request)))
      }),
    )
  }

  #schedule(): void {
    if (this.#stepping) return
    const step = this.#engine.step()
    if (step === null) return
    this.#stepping = true
    this.#options.clock.after(step.durationMs, () => {
      this.#stepping = false
      this.#take(step)
      this.#schedule()
    })
  }

  #take(step: EngineStep): void {
    for (const began of step.began) this.#attempts.get(began.id)?.began(began.cachedTokens)
    const outputs = new Map<string, EngineOutput[]>()
    for (const output of step.produced) {
      const list = outputs.get(output.id)
      if (list === undefined) outputs.set(output.id, [output])
      else list.push(output)
    }
    for (const [id, list] of outputs) this.#attempts.get(id)?.produced(list)
  }
}

const OVERLOADED: UpstreamFailure = { reason: 'overloaded', message: 'no slot is free', retryable: true }

/** What an engine would tokenise. */
function promptOf(request: InferenceRequest): string {
  return inputTexts(request.input).texts.join('')
}
