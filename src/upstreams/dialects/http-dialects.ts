import type { HttpDialect } from '../http-dialect.ts'
import { ANTHROPIC_DIALECT } from './anthropic/dialect.ts'
import { OPENAI_DIALECT } from './openai/dialect.ts'

/** The wires that upstreams speak over HTTP, by the name that the configuration has for each (`upstreams[].api`). */
export const HTTP_DIALECTS = { chat: OPENAI_DIALECT, messages: ANTHROPIC_DIALECT } as const satisfies Record<
  string,
  HttpDialect
>
