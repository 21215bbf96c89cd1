/** What the lines of a batch can ask for, where the server has it. */
export const BATCH_PATHS: readonly string[] = [
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/embeddings',
  '/v1/responses',
  '/v1/messages',
]

/** A path without the middle that DeepInfra's clients put into theirs. */
export function plainPath(url: string): string {
  return url.replace(/^\/v1\/openai\//, '/v1/')
}
