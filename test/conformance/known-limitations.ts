/** Checks that fail for a reason that lies with the client, or that is decided; each with its reason, which the table shows. */
const KNOWN: readonly { readonly client: string; readonly feature: string; readonly reason: string }[] = []

/** The reason why a check may fail; undefined when it may not. */
export function limitationOf(client: string, feature: string): string | undefined {
  return KNOWN.find(known => known.client === client && known.feature === feature)?.reason
}
