/** A comment that keeps proxies and clients from giving up while a request waits; every SSE parser skips it. */
export const SSE_KEEP_ALIVE: Uint8Array = Buffer.from(': keep-alive\n\n')

/** The frame that ends a stream of OpenAI's chat and completions wire. */
export const SSE_DONE: Uint8Array = Buffer.from('data: [DONE]\n\n')

/** One frame of JSON text. JSON text written by us has no line ends in it, so one `data:` line is enough. */
export function sseFrame(json: string): Uint8Array {
  return Buffer.from(`data: ${json}\n\n`)
}
