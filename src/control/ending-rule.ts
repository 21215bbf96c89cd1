import type { Settlement } from '../ledger/journal.ts'

/** A line of the table of endings in docs/concepts/endings.md. */
export interface EndingRule {
  /** What happened. */
  readonly when: string
  /** What is charged for it. */
  readonly charged: string
}

/** The lines that a settlement can fall under, in the words of the table. */
export const ENDING_RULES = {
  completed: { when: 'completed', charged: 'usage as reported; cached input at its price' },
  uncounted: { when: 'upstream gave no usage', charged: 'counted by us, marked counted; never more than the hold' },
  undispatched: { when: 'client left before dispatch', charged: 'nothing' },
  beforeOutput: {
    when: 'client left, a deadline passed, or we drained, after dispatch and before the first token',
    charged: 'input, once the upstream is known to work on it; else nothing',
  },
  midOutput: {
    when: 'client left, a deadline passed, or we drained, in the middle of the output',
    charged:
      'input and the output produced until the upstream was stopped: reported if it says so, else counted by us and marked counted; cached input that is unknown is priced as uncached and marked absent',
  },
  failedFree: {
    when: 'upstream failed before the first token, or at any point of a buffered request',
    charged: 'nothing; the next target is tried',
  },
  failedStream: {
    when: 'upstream failed after the first token of a stream',
    charged: 'input and what the client received; the client gets an error frame, never a silent close',
  },
  exhausted: {
    when: 'the hold could not be extended',
    charged: 'input and what the client received; the answer ends with length, and usage.notice says why',
  },
  empty: {
    when: "empty answer of a generation that asked for at least one token, and was not ended by the client's own stop, bias, grammar or limit",
    charged: 'nothing',
  },
} as const satisfies Record<string, EndingRule>

/** The line of the table of endings that a settlement was charged by. */
export function endingRule({ ending, stream, upstreamId, usage }: Settlement): EndingRule {
  const hasOutput = usage.outputTokens > 0
  switch (ending) {
    case 'completed':
      return usage.outputSource === 'counted' ? ENDING_RULES.uncounted : ENDING_RULES.completed
    case 'exhausted':
      return ENDING_RULES.exhausted
    case 'empty':
      return ENDING_RULES.empty
    case 'failed':
      return stream && hasOutput ? ENDING_RULES.failedStream : ENDING_RULES.failedFree
    case 'cancelled':
    case 'timed_out':
    case 'aborted':
      if (upstreamId === '') return ENDING_RULES.undispatched
      return hasOutput ? ENDING_RULES.midOutput : ENDING_RULES.beforeOutput
  }
}
