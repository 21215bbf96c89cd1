/** The id of an answer: the request's own, under the prefix that the protocol's clients know. */
export function answerId(prefix: 'chatcmpl' | 'cmpl' | 'rerank', requestId: string): string {
  return `${prefix}-${requestId.startsWith('req_') ? requestId.slice(4) : requestId}`
}
