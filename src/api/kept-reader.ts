import type { Caller } from '../admission/authenticate.ts'
import type { KeptDocuments } from '../ledger/kept-document.ts'
import type { KeptReader } from '../protocols/protocol.ts'

/**
 * What a caller's requests may go on from: all that is kept for its org; with a token, which is handed on and gives no right to look into
 * the org's documents, what was made under the token's own key alone.
 */
export function keptReader(
  kept: Pick<KeptDocuments, 'find'>,
  { org, key, token }: Caller,
  nowMs: () => number,
): KeptReader {
  return {
    async find(kind, id) {
      const document = await kept.find(kind, org.id, id, nowMs())
      return document === null || (token !== undefined && document.keyId !== key.id) ? null : document.json
    },
  }
}
