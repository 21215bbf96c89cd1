import { processIo } from './cli/io.ts'
import { run } from './cli/program.ts'

// A reader that has seen enough, as in `headrace usage | head`, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(process.exitCode ?? 0)
})

process.exitCode = await run(process.argv.slice(2), processIo())
