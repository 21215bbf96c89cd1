import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ProofError } from './proof-error.ts'

/** How such folders are called, six random characters after it. */
export const PROOF_HOME_PREFIX = '.headrace-prove-'

/**
 * Makes an empty folder for a proof on the disk of the configured home: beside it, or within where the home is a disk of its own.
 * The home itself need not be there, and is not touched.
 */
export function createProofHome(home: string): string {
  const parent = dirname(home)
  const within = existsSync(home) && existsSync(parent) && statSync(home).dev !== statSync(parent).dev
  const place = within ? home : nearestThatExists(parent)
  try {
    return mkdtempSync(join(place, PROOF_HOME_PREFIX))
  } catch (error) {
    throw new ProofError(
      `No folder can be made in ${place}: ${(error as Error).message}.`,
      'Name a home whose parent folder you may write to, with --home.',
      { cause: error },
    )
  }
}

/** Removes such a folder with all that is in it. */
export function removeProofHome(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}

function nearestThatExists(folder: string): string {
  let place = folder
  while (!existsSync(place) && dirname(place) !== place) place = dirname(place)
  return place
}
