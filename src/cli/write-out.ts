import { resolve } from 'node:path'
import { CliError } from './cli-error.ts'
import type { Io } from './io.ts'

/** Takes what a command makes, piece by piece. */
export type Write = (chunk: string | Uint8Array) => Promise<void>

/** Standard output, for text; or with a path the file of that name, whole or not at all. */
export async function writeOut(io: Io, path: string | undefined, make: (write: Write) => Promise<void>): Promise<void> {
  if (path === undefined) {
    await make(async chunk => void io.stdout.write(typeof chunk === 'string' ? chunk : new TextDecoder().decode(chunk)))
    return
  }
  const full = resolve(io.cwd, path)
  const file = await io.createFile(full).catch((error: Error) => {
    throw new CliError(`${full} cannot be written: ${error.message}`, {
      cure: 'Name another file with --out.',
      cause: error,
    })
  })
  try {
    await make(chunk => file.write(chunk))
  } catch (error) {
    await file.abandon()
    throw error
  }
  await file.finish()
}
