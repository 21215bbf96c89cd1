/** Checks that fail for a reason that lies with the client, or that is decided; each with its reason, which the table shows. */
const KNOWN: readonly { readonly client: string; readonly feature: string; readonly reason: string }[] = [
  {
    client: 'codex',
    feature: '402',
    reason:
      'Codex repeats what is refused with any status but 400 five times; each time it is refused before anything is held. `stream_max_retries = 0` in its configuration stops that.',
  },
]

/** The reason why a check may fail; undefined when it may not. */
export function limitationOf(client: string, feature: string): string | undefined {
  return KNOWN.find(known => known.client === client && known.feature === feature)?.reason
}
