import type { AttemptEnd, InferenceEvent } from '../inference/event.ts'
import type { Happening } from './messages.ts'
import { toWire } from './wire-event.ts'

type Delta = Extract<InferenceEvent, { type: 'delta' }>

/**
 * Collects what happens within one turn of the loop and sends it as one message: with many slots a message per token
 * would cost more than the token. Deltas of the same choice are joined.
 */
export interface Outbox {
  event(id: number, event: InferenceEvent): void
  end(id: number, end: AttemptEnd): void
}

/** `send` gets what was collected, in order; `ended` tells that at least one attempt ended in it. */
export function outbox(send: (list: readonly Happening[], ended: boolean) => void): Outbox {
  let list: Happening[] = []
  let ended = false
  /** Where the open delta of a choice is in the list. */
  let open = new Map<string, number>()

  function push(happening: Happening): void {
    if (list.length === 0) setImmediate(flush)
    list.push(happening)
  }

  function flush(): void {
    const full = list
    const anyEnded = ended
    list = []
    open = new Map()
    ended = false
    send(full, anyEnded)
  }

  return {
    event(id, event) {
      if (event.type !== 'delta') return push([id, toWire(event)])
      const key = `${id}/${event.choice}`
      const at = open.get(key)
      if (at === undefined) {
        push([id, event])
        open.set(key, list.length - 1)
      } else {
        list[at] = [id, join((list[at] as Happening)[1] as Delta, event)]
      }
    },
    end(id, end) {
      ended = true
      push([id, null, end])
    },
  }
}

/** Two deltas of one choice as one. Pieces of tool calls stay apart: their order tells which belongs to which. */
export function join(a: Delta, b: Delta): Delta {
  return {
    type: 'delta',
    choice: a.choice,
    content: concat(a.content, b.content),
    reasoning: concat(a.reasoning, b.reasoning),
    toolCalls:
      a.toolCalls === undefined
        ? b.toolCalls
        : b.toolCalls === undefined
          ? a.toolCalls
          : [...a.toolCalls, ...b.toolCalls],
    logprobs:
      a.logprobs === undefined ? b.logprobs : b.logprobs === undefined ? a.logprobs : [...a.logprobs, ...b.logprobs],
    tokens: a.tokens + b.tokens,
  }
}

function concat(a: string | undefined, b: string | undefined): string | undefined {
  return a === undefined ? b : b === undefined ? a : a + b
}
