/**
 * Checks that fail for a reason that lies with the client, or that is decided; each with the one fault that it has, and the
 * reason, which the table shows.
 */
const KNOWN: readonly {
  readonly client: string
  readonly feature: string
  readonly fault: string
  readonly reason: string
}[] = [
  {
    client: 'codex',
    feature: '402',
    fault: '6 requests were sent instead of 1',
    reason:
      'Codex repeats what is refused with any status but 400 five times; each time it is refused before anything is held. `stream_max_retries = 0` in its configuration stops that.',
  },
  {
    client: 'deepinfra',
    feature: '402',
    fault: '6 requests were sent instead of 1',
    reason:
      'The DeepInfra SDK repeats every refusal five times; each time it is refused before anything is held. `maxRetries: 0` in its configuration stops that.',
  },
]

/** What is known of a check; undefined when it has to pass. */
export function limitationOf(client: string, feature: string): (typeof KNOWN)[number] | undefined {
  return KNOWN.find(known => known.client === client && known.feature === feature)
}
