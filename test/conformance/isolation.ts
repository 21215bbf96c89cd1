import { spawnSync } from 'node:child_process'

/** Keeps clients on this machine: several of them call home unless they cannot. */

/** Set for a process that runs inside; a JSON object of the folders whose packages are missing, with the reasons. */
export const INSIDE = 'HEADRACE_CLIENTS_INSIDE'

const UP_AND_RUN = 'ip link set lo up && exec "$0" "$@"'
/** In a process namespace of its own nothing outlives the run, whatever a client left behind. */
const NAMESPACES = ['--user', '--map-root-user', '--net', '--pid', '--fork', '--kill-child', '--mount-proc']

/** Whether namespaces with nothing but loopback are to be had here: on Linux, where users may make them, and `ip` is there. */
export function canIsolate(): boolean {
  if (process.platform !== 'linux') return false
  return spawnSync('unshare', [...NAMESPACES, 'sh', '-c', UP_AND_RUN, 'true'], { stdio: 'ignore' }).status === 0
}

/** Runs a script of Node with loopback as its only network; answers its exit code. */
export function runIsolated(
  script: string,
  args: readonly string[],
  missing: Readonly<Record<string, string>>,
): number {
  const { status } = spawnSync('unshare', [...NAMESPACES, 'sh', '-c', UP_AND_RUN, process.execPath, script, ...args], {
    stdio: 'inherit',
    env: { ...process.env, [INSIDE]: JSON.stringify(missing) },
  })
  return status ?? 1
}

/** Where there are no namespaces: a proxy that is not there, for all that is not on this machine. Port 9 discards. */
export const CLOSED_PROXY: Readonly<Record<string, string>> = {
  HTTP_PROXY: 'http://127.0.0.1:9',
  HTTPS_PROXY: 'http://127.0.0.1:9',
  ALL_PROXY: 'http://127.0.0.1:9',
  NO_PROXY: '127.0.0.1,localhost,::1',
}
