import { createHash, timingSafeEqual } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { RandomBytes } from './api-key.ts'

/** A secret file of the home cannot be used as it is. The message says why and what to do. */
export class HomeSecretError extends Error {
  override name = 'HomeSecretError'
}

const TOKEN_BYTES = 32
const PEPPER_BYTES = 32
const OTHERS_MASK = 0o077

/**
 * The secret that opens the control plane: `operator-token` in the home, created with mode 0600 on first use.
 * Throws `HomeSecretError` when others may read the file or it holds something else.
 */
export function operatorToken(homePath: string, random: RandomBytes): string {
  const path = join(homePath, 'operator-token')
  const token = readOrCreate(path, () => `hr-op-${Buffer.from(random(TOKEN_BYTES)).toString('base64url')}`)
  if (!/^[\x21-\x7e]{32,}$/.test(token)) {
    throw new HomeSecretError(
      `${path} does not hold an operator token (one line, at least 32 characters). Delete it to have a new one made.`,
    )
  }
  return token
}

/**
 * The pepper that API keys are hashed with: `pepper` in the home, 32 bytes as hex, created with mode 0600 on first use.
 * Losing it makes every API key unknown. Throws `HomeSecretError` as `operatorToken` does.
 */
export function keyPepper(homePath: string, random: RandomBytes): Buffer {
  const path = join(homePath, 'pepper')
  const hex = readOrCreate(path, () => Buffer.from(random(PEPPER_BYTES)).toString('hex'))
  if (!/^[0-9a-f]{64}$/.test(hex)) {
    throw new HomeSecretError(
      `${path} does not hold 64 hex digits. Bring it back from a backup; without it no existing API key works.`,
    )
  }
  return Buffer.from(hex, 'hex')
}

/** Compares two secrets in a time that does not depend on where they differ. */
export function secretsEqual(left: string, right: string): boolean {
  // Hashing first makes both sides equally long, which timingSafeEqual wants, and hides the length.
  return timingSafeEqual(createHash('sha256').update(left).digest(), createHash('sha256').update(right).digest())
}

function readOrCreate(path: string, create: () => string): string {
  const existing = read(path)
  if (existing !== null) return existing
  // A link appears whole or not at all, and never replaces: two processes that start at once agree on one secret.
  const draftPath = `${path}.${process.pid}.draft`
  // A crash may have left the draft of an earlier process that had our id.
  rmSync(draftPath, { force: true })
  const draft = openSync(draftPath, 'wx', 0o600)
  try {
    writeSync(draft, `${create()}\n`)
    fsyncSync(draft)
  } finally {
    closeSync(draft)
  }
  try {
    chmodSync(draftPath, 0o600)
    linkSync(draftPath, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    unlinkSync(draftPath)
  }
  const created = read(path)
  if (created === null) throw new HomeSecretError(`${path} vanished while it was being created. Start again.`)
  return created
}

function read(path: string): string | null {
  let mode: number
  try {
    mode = statSync(path).mode
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  // Windows has no such bits; access lists of the home protect the file there.
  if (process.platform !== 'win32' && (mode & OTHERS_MASK) !== 0) {
    throw new HomeSecretError(
      `${path} may be read by others (mode ${(mode & 0o777).toString(8)}). Run: chmod 600 ${path}`,
    )
  }
  return readFileSync(path, 'utf8').trim()
}
