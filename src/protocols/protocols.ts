import { OPENAI_CHAT } from './openai-chat/codec.ts'
import { OPENAI_COMPLETIONS } from './openai-completions/codec.ts'
import type { ProtocolCodec } from './protocol.ts'

/** Every protocol that clients can speak. */
export const PROTOCOLS: readonly ProtocolCodec[] = Object.freeze([OPENAI_CHAT, OPENAI_COMPLETIONS])

/** Where each protocol is served: method POST, path without a prefix such as `/v1` or `/v1/openai`. */
export const PROTOCOL_ROUTES: ReadonlyMap<string, ProtocolCodec> = new Map([
  ['/chat/completions', OPENAI_CHAT],
  ['/completions', OPENAI_COMPLETIONS],
])

/** The prefixes under which all of them are served; the second is where DeepInfra's clients look. */
export const PROTOCOL_PREFIXES: readonly string[] = Object.freeze(['/v1', '/v1/openai'])
