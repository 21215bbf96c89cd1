import { ANTHROPIC_MESSAGES } from './anthropic-messages/codec.ts'
import { DEEPINFRA_INFERENCE } from './deepinfra-inference/codec.ts'
import { OPENAI_CHAT } from './openai-chat/codec.ts'
import { OPENAI_COMPLETIONS } from './openai-completions/codec.ts'
import { OPENAI_EMBEDDINGS } from './openai-embeddings/codec.ts'
import { OPENAI_RESPONSES } from './openai-responses/codec.ts'
import type { ProtocolCodec } from './protocol.ts'
import { RERANK } from './rerank/codec.ts'

/** Every protocol that clients can speak. */
export const PROTOCOLS: readonly ProtocolCodec[] = Object.freeze([
  OPENAI_CHAT,
  OPENAI_COMPLETIONS,
  OPENAI_RESPONSES,
  ANTHROPIC_MESSAGES,
  OPENAI_EMBEDDINGS,
  RERANK,
  DEEPINFRA_INFERENCE,
])
