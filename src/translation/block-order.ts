/**
 * What a turn of the assistant's consists of. A chat's message has one field for each kind; `block_order` in it, a kind for each detail
 * of its thoughts, part of its text and call, tells how they followed one another where that is not the usual order.
 */
export type BlockKind = 'thinking' | 'text' | 'tool_use'

const USUAL: readonly BlockKind[] = ['thinking', 'text', 'tool_use']

/** Whether a turn thinks, speaks and calls in this order. */
export function isUsualOrder(order: readonly BlockKind[]): boolean {
  return order.every((kind, i) => i === 0 || USUAL.indexOf(kind) >= USUAL.indexOf(order[i - 1] as BlockKind))
}
