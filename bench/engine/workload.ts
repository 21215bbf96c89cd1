/** What both sides of the benchmark are asked: the same chats, the same sampling, the same number of output tokens. */
import type { Sampling } from '../../src/inference/request.ts'

/** One chat. */
export interface Ask {
  readonly messages: readonly { readonly role: 'system' | 'user'; readonly content: string }[]
  /** Output tokens, exactly: no answer ends before. */
  readonly outputTokens: number
}

/** How both sides run the model. */
export interface Setup {
  readonly modelPath: string
  readonly slots: number
  /** Context tokens of each slot. */
  readonly slotTokens: number
  readonly threads: number
  /** Tokens of one step of the native loop. */
  readonly batchTokens: number
}

/** What came of a number of asks at a fixed concurrency. */
export interface Outcome {
  readonly seconds: number
  readonly inputTokens: number
  readonly cachedTokens: number
  readonly outputTokens: number
}

/** Greedy, and every answer as long as asked for. All fields are said, so that no side has defaults of its own. */
export const SAMPLING: Sampling = {
  temperature: 0,
  topP: 0.9,
  topK: 40,
  minP: 0.05,
  seed: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  repetitionPenalty: 1,
  ignoreEos: true,
  stop: [],
}

const SUBJECTS = ['river', 'mill', 'wheel', 'bridge', 'valley', 'stone', 'light', 'grain', 'wind', 'morning']
const VERBS = ['carries', 'turns', 'crosses', 'follows', 'lights', 'holds', 'wears down', 'grinds', 'feeds', 'wakes']
const PLACES = ['in the north', 'under the bridge', 'at noon', 'through the valley', 'behind the mill', 'by the water']

/**
 * A chat about a story of so many sentences. It differs from that of any other seed from its first word on, which is in the system
 * message: the one that templates insert would be a prefix that all chats share.
 */
export function ask(seed: number, sentences: number, outputTokens: number): Ask {
  return {
    messages: [
      { role: 'system', content: `${seed} is the number of this chat. You continue stories.` },
      { role: 'user', content: story(seed, sentences) },
    ],
    outputTokens,
  }
}

function story(seed: number, sentences: number): string {
  let state = (seed * 2_654_435_761 + 12_345) >>> 0
  const pick = (words: readonly string[]): string => {
    // Numerical Recipes' linear congruential generator; its upper bits are good enough to pick words.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return words[(state >>> 8) % words.length] as string
  }
  const lines = Array.from(
    { length: sentences },
    () => `The ${pick(SUBJECTS)} ${pick(VERBS)} the ${pick(SUBJECTS)} ${pick(PLACES)}.`,
  )
  return lines.join(' ')
}

/**
 * The asks of one round. No prompt comes twice, so that the prompt-state cache costs what it costs (every prompt is saved) and saves
 * nothing. Lengths differ, so that prompts are processed beside answers, as in real traffic.
 */
export function round(number: number, asks: number, outputTokens: number): Ask[] {
  return Array.from({ length: asks }, (_, index) =>
    ask(number * 1000 + index, 5 + (index % 3), Math.round(outputTokens * (0.75 + (index % 3) * 0.25))),
  )
}

/** Runs `work` over all items, so many at a time. */
export async function atConcurrency<Item>(
  items: readonly Item[],
  concurrency: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  let next = 0
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (let index = next++; index < items.length; index = next++) await work(items[index] as Item)
    }),
  )
}
