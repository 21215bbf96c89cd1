/**
 * The lines of the table in docs/concepts/endings.md, by their anchors there. A test holds the two to each other, and the simulation
 * has to inject every one of them.
 */
export const ENDING_LINES = [
  'completed',
  'no-output-asked',
  'left-before-dispatch',
  'left-before-first-token',
  'left-mid-output',
  'failed-before-first-token',
  'failed-mid-stream',
  'exhausted',
  'no-usage',
  'empty',
  'repeated',
  'refused',
  'not-durable',
  'crash',
] as const

export type EndingLine = (typeof ENDING_LINES)[number]
