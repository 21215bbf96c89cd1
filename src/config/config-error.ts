/** One thing that is wrong with the configuration. */
export interface ConfigIssue {
  /** Where it was written: `/home/me/config.yaml:12`, `HEADRACE_PORT`, `--port`; `default` when nobody wrote it. */
  readonly where: string
  /** `server.port`; empty when it concerns the file as a whole. */
  readonly path: string
  /** What was found, and what is allowed or meant. */
  readonly message: string
}

/** The configuration cannot be used. The message has a line for each issue. */
export class ConfigError extends Error {
  override name = 'ConfigError'
  readonly issues: readonly ConfigIssue[]

  constructor(issues: readonly ConfigIssue[]) {
    super(issues.map(issueLine).join('\n'))
    this.issues = issues
  }
}

/** `config.yaml:3: server.port is "abc"; allowed: ...` */
export function issueLine(issue: ConfigIssue): string {
  return issue.path === '' ? `${issue.where}: ${issue.message}` : `${issue.where}: ${issue.path} ${issue.message}`
}
