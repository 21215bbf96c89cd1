import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isObject } from '../wire/json-object.ts'
import type { Child, ChildProcesses } from './child-processes.ts'
import { PROOF_PRICE } from './price.ts'
import { ProofError } from './proof-error.ts'

/** The model that a proof's clients ask for. */
export const PROOF_MODEL = 'simulated'
/** Small, so that many answers need their hold extended, and some run out of money in their middle. */
const TRANCHE_TOKENS = 48
const CONTEXT_TOKENS = 8192

/** Writes the configuration of a home that serves the simulated upstream, on any free port, and runs no model itself. */
export async function writeHome(
  home: string,
  options: { upstreamPort: number; connectionsMax: number; startingCredit: string },
): Promise<void> {
  await mkdir(home, { recursive: true, mode: 0o700 })
  const config = {
    server: { host: '127.0.0.1', port: 0 },
    models: { default: null },
    engine: { promptCacheDir: join(home, 'prompts') },
    money: { startingCredit: options.startingCredit },
    log: { level: 'error', format: 'json' },
    upstreams: [
      {
        id: 'simulated',
        baseUrl: `http://127.0.0.1:${options.upstreamPort}/v1`,
        allowPrivate: true,
        connectionsMax: options.connectionsMax,
        models: [
          {
            model: PROOF_MODEL,
            name: PROOF_MODEL,
            contextTokens: CONTEXT_TOKENS,
            trancheTokens: TRANCHE_TOKENS,
            price: PROOF_PRICE,
          },
        ],
      },
    ],
  }
  // JSON is YAML.
  await writeFile(configFile(home), `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 })
}

/** The configuration file of such a home. */
export function configFile(home: string): string {
  return join(home, 'config.yaml')
}

/** A `headrace serve` that accepts clients. */
export interface ServerProcess extends Child {
  /** Without a slash at the end. */
  readonly url: string
}

/** Starts `headrace serve` on the home. `mainFile` is the program's own entry. */
export async function startServer(children: ChildProcesses, mainFile: string, home: string): Promise<ServerProcess> {
  const args = ['serve', '--json', '--home', home, '--config', configFile(home)]
  const child = await children.start('headrace serve', mainFile, args)
  const urls = isObject(child.ready) ? child.ready.urls : undefined
  const url = Array.isArray(urls) ? String(urls[0]) : undefined
  if (url === undefined) throw new ProofError('The server did not say where it listens.', 'Report it; it is a bug.')
  return { ...child, url: url.replace(/\/$/, '') }
}
