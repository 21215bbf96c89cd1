import type { RunningServer } from '../cli/serve-types.ts'
import type { Pipeline } from '../gateway/pipeline.ts'

/** What stops what was started; it is done last first. */
export type Undo = (() => Promise<void> | void)[]

/** Stops a server. The first call drains and closes everything; a second is an operator who has waited long enough. */
export function stoppable(
  pipeline: Pipeline,
  undo: Undo,
  drainTimeoutMs: number,
): Pick<RunningServer, 'stop' | 'closed'> & { fail(error: Error): void } {
  const closed = Promise.withResolvers<void>()
  closed.promise.catch(() => undefined)
  let stopping = false
  return {
    closed: closed.promise,
    fail(error) {
      stopping = true
      // Nothing that runs can be charged any more; `closed` tells the command line, whose exit code tells the supervisor.
      const ended = pipeline.drain(0).then(() => runBackwards(undo))
      ended.catch(() => undefined).then(() => closed.reject(error))
    },
    stop() {
      if (stopping) void pipeline.drain(0)
      else {
        stopping = true
        pipeline
          .drain(drainTimeoutMs)
          .then(() => runBackwards(undo))
          .then(closed.resolve, closed.reject)
      }
      return closed.promise
    },
  }
}

/** Stops what was started. */
export async function runBackwards(steps: Undo): Promise<void> {
  for (const step of steps.reverse()) await step()
}
