/** One thing that the doctor looked at. */
export interface Finding {
  /** Such as `memory`; groups findings, and names them in JSON. */
  readonly check: string
  /** `broken` makes the exit code 1; `note` is worth knowing. */
  readonly status: 'ok' | 'note' | 'broken'
  /** One sentence. */
  readonly summary: string
  /** What to do about it; on everything that is broken. */
  readonly cure?: string
  /** The facts, for programs. */
  readonly facts?: Readonly<Record<string, unknown>>
}

/** All is well. */
export function ok(check: string, summary: string, facts?: Finding['facts']): Finding {
  return { check, status: 'ok', summary, facts }
}

/** Worth knowing. */
export function note(check: string, summary: string, cure?: string, facts?: Finding['facts']): Finding {
  return { check, status: 'note', summary, cure, facts }
}

/** It will not work like this. */
export function broken(check: string, summary: string, cure: string, facts?: Finding['facts']): Finding {
  return { check, status: 'broken', summary, cure, facts }
}
