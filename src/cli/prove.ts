import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Command, Option } from 'commander'
import { parseDollars } from '../ledger/money.ts'
import { requestsMin } from '../prove/plan.ts'
import { createProofHome, removeProofHome } from '../prove/proof-home.ts'
import { prove } from '../prove/prove.ts'
import type { ProofReport } from '../prove/report.ts'
import { dollarsArgument, shareArgument, wholeArgument } from './arguments.ts'
import { CliError, EXIT } from './cli-error.ts'
import { setExitCode } from './exit-code.ts'
import type { Io } from './io.ts'
import { connectBooks } from './prove-books.ts'
import { progressText, proofText } from './prove-report.ts'
import { openSession, type Session } from './session.ts'

interface ProveFlags {
  readonly clients: number
  readonly requests: number
  readonly aborts: number
  readonly upstreamDeaths: number
  readonly kills: number
  readonly cap?: string
  readonly seed?: number
  readonly keep?: boolean
}

const CLIENTS_MAX = 5_000
/** An entry of memory is kept for each, until it is audited. */
const REQUESTS_MAX = 200_000
const KILLS_MAX = 100
const SEED_MAX = 2 ** 31 - 1

/** `headrace prove`. */
export function register(program: Command, io: Io): void {
  program
    .command('prove')
    .summary('prove on this machine that the books cannot go wrong')
    .description(
      'Starts a server and a simulated upstream on a home of their own, on the disk of your home, and lets many clients spend through one key until its cap binds, ' +
        'while clients leave, upstreams break off and the server is killed with kill -9. Then compares every answer that was seen whole with its charge. ' +
        'Your own home and its ledger are not touched, and a server may run on it. Exit code 1 when a claim fails.',
    )
    .option('--clients <count>', 'clients at a time', wholeArgument(1, CLIENTS_MAX), 500)
    .option('--requests <count>', 'requests in all', wholeArgument(1, REQUESTS_MAX), 20_000)
    .addOption(shareOption('--aborts <share>', 'requests whose client leaves early', '20%'))
    .addOption(shareOption('--upstream-deaths <share>', 'requests whose upstream breaks off', '5%'))
    .option('--kills <count>', 'how often the server is killed', wholeArgument(0, KILLS_MAX), 3)
    .option('--cap <dollars>', 'cap of the key; by default one that binds at four fifths', dollarsArgument)
    .option('--seed <number>', 'repeats the plan of another run; all but time is the same', wholeArgument(0, SEED_MAX))
    .option('--keep', 'keep the folder, to look into its ledger')
    .addHelpText(
      'after',
      `
Examples:
  npx headrace prove
  npx headrace prove --clients 50 --requests 2000 --kills 1
  npx headrace prove --seed 7 --keep`,
    )
    .action(async (flags: ProveFlags, command: Command) => {
      const session = openSession(io, command)
      const report = await runProof(session, flags)
      session.show(report, () => proofText(session, report))
      if (!report.holds) setExitCode(command, EXIT.failed)
    })
}

function shareOption(flags: string, description: string, fallback: string): Option {
  return new Option(flags, description).argParser(shareArgument).default(shareArgument(fallback), fallback)
}

async function runProof(session: Session, flags: ProveFlags): Promise<ProofReport> {
  const { io } = session
  const { config } = session.configuration()
  const capNanodollars = flags.cap === undefined ? null : parseDollars(flags.cap)
  if (capNanodollars === 0n)
    throw new CliError('A cap of nothing proves nothing.', { cure: 'Leave --cap out.', exitCode: EXIT.usage })
  const fewest = requestsMin(flags)
  if (flags.requests < fewest) {
    throw new CliError(
      `${flags.requests} requests are too few for ${flags.clients} clients and ${flags.kills} kills: little would be left to be proved.`,
      { cure: `Ask for at least --requests ${fewest}, or for fewer --clients.`, exitCode: EXIT.usage },
    )
  }
  const stop = new AbortController()
  const release = io.onSignal(() => stop.abort(new DOMException('Interrupted.', 'AbortError')))
  const paint = painter(session)
  const home = createProofHome(config.home)
  try {
    const size = {
      clients: flags.clients,
      requests: flags.requests,
      abortShare: flags.aborts,
      deathShare: flags.upstreamDeaths,
      kills: flags.kills,
      seed: flags.seed ?? io.nowMs() % SEED_MAX,
    }
    return await prove({
      size,
      capNanodollars,
      home,
      mainFile: fileURLToPath(new URL(`../main${extname(import.meta.url)}`, import.meta.url)),
      connect: folder => connectBooks(io, folder),
      signal: stop.signal,
      onProgress: progress => paint.line(progressText(progress)),
    })
  } finally {
    paint.clear()
    if (flags.keep === true) io.stderr.write(`The home of the proof is kept: ${home}\n`)
    else removeProofHome(home)
    release()
  }
}

/** A line on a terminal that repaints itself, and goes away. */
function painter(session: Session): { line(text: string): void; clear(): void } {
  const { stderr } = session.io
  if (stderr.isTTY !== true) return { line() {}, clear() {} }
  const columns = stderr.columns || 80
  return {
    line: text => void stderr.write(`\r\x1b[K${session.errorStyle.dim(text.slice(0, columns - 1))}`),
    clear: () => void stderr.write('\r\x1b[K'),
  }
}
