import type { Command } from 'commander'
import { EXIT } from './cli-error.ts'
import { engineFindings } from './doctor/engine-builds.ts'
import { broken, type Finding } from './doctor/finding.ts'
import { homeFindings } from './doctor/home.ts'
import { cpuFinding, diskFinding, memoryFinding, nodeFinding } from './doctor/machine.ts'
import { modelFindings } from './doctor/model-files.ts'
import { networkFindings } from './doctor/network.ts'
import { serverFindings } from './doctor/server.ts'
import { setExitCode } from './exit-code.ts'
import type { Io } from './io.ts'
import { printable, type Style } from './output/style.ts'
import { openSession } from './session.ts'

/** `headrace doctor`. */
export function register(program: Command, io: Io): void {
  program
    .command('doctor')
    .summary('look for what is wrong with this machine and home')
    .description(
      'Looks at Node, processor, engine builds, memory, disk, home, model files (hashed again), port and server, and lists every host that Headrace would contact, without contacting it. ' +
        'Exit code 1 when something is broken; each finding says what to do.',
    )
    .action(async (_: object, command: Command) => {
      const session = openSession(io, command)
      const loaded = session.configuration()
      const { config } = loaded
      const findings = [
        nodeFinding(),
        cpuFinding(),
        memoryFinding(config),
        ...engineFindings(config),
        diskFinding(config),
        ...homeFindings(loaded),
        ...(await attempt('model', () => modelFindings(config))),
        ...(await serverFindings(io, config)),
        ...(await attempt('network', () => networkFindings(config, io.env))),
      ]
      const sick = findings.some(finding => finding.status === 'broken')
      session.show({ ok: !sick, findings }, () => renderFindings(findings, session.style))
      if (sick) setExitCode(command, EXIT.failed)
    })
}

/** A check that cannot be made is a finding too; the others go on. */
async function attempt(check: string, work: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await work()
  } catch (error) {
    return [broken(check, (error as Error).message, 'Correct what the message names, then run this again.')]
  }
}

/** A line for each finding, its cure under it, and a verdict. */
export function renderFindings(findings: readonly Finding[], style: Style): string {
  const marks = { ok: style.green('ok    '), note: style.yellow('note  '), broken: style.red('broken') }
  const width = Math.max(...findings.map(finding => finding.check.length))
  const lines = findings.flatMap(finding => {
    const [first = '', ...rest] = finding.summary.split('\n').map(printable)
    const indent = ' '.repeat(10 + width)
    return [
      `${marks[finding.status]}  ${finding.check.padEnd(width)}  ${first}`,
      ...rest.map(line => `${indent}${line}`),
      ...(finding.cure === undefined ? [] : [`${indent}${style.dim(printable(finding.cure))}`]),
    ]
  })
  const count = findings.filter(finding => finding.status === 'broken').length
  const verdict =
    count === 0
      ? style.green('Nothing is broken.')
      : style.red(`${count} ${count === 1 ? 'thing is' : 'things are'} broken.`)
  return `${lines.join('\n')}\n\n${verdict}\n`
}
