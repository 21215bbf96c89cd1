/**
 * What a client's script needs: the world it is put into, and a way to tell what it saw. A script prints one JSON line per
 * check on standard output; whoever started it compares that with what went over the wire and with the ledger.
 *
 * @typedef {object} World
 * @property {string} url The server, without a slash at the end.
 * @property {string} key The API key of this client alone.
 * @property {string} brokeKey A key of an org without credit.
 * @property {string} wrongKey A key that does not exist.
 * @property {Record<'plain' | 'talker' | 'caller' | 'dies' | 'overloaded' | 'down' | 'endless' | 'embedder' | 'missing', string>} models
 * @property {string} folder An empty folder for this client alone.
 * @property {number} bodyBytesMax The longest request body that the server takes.
 *
 * @typedef {object} Usage Tokens as this client tells them; left out where it does not.
 * @property {number} [input] Cached ones included.
 * @property {number} [cached]
 * @property {number} [output] Reasoning included.
 * @property {number} [reasoning]
 * @property {number} [cost] Dollars.
 *
 * @typedef {object} Seen
 * @property {Usage} [usage] Of all requests of the check together.
 * @property {string} [requestId] As the client tells it.
 * @property {number} [requests] How many requests have to have been sent.
 * @property {number[]} [statuses] What they have to have been answered with, for clients that do not tell.
 * @property {boolean} [cancelled] The client left before the end.
 * @property {string} [detail] A few words for the table.
 */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

/** @type {World} */
export const world = JSON.parse(process.env.HEADRACE_WORLD ?? '{}')

/** The texts that the scripted models say. */
export const script = JSON.parse(process.env.HEADRACE_SCRIPT ?? '{}')

const CHECK_MS_MAX = 160_000
/** Checks lie so far apart that the clock tells whose a request was. */
const GAP_MS = 3
const DETAIL_CHARS_MAX = 1500

/**
 * Runs checks one after another, a line each, and ends the process: some clients leave timers and sockets behind.
 * @param {Record<string, () => Promise<Seen | void>>} checks By feature.
 */
export async function run(checks) {
  say({ plan: Object.keys(checks) })
  for (const [feature, check] of Object.entries(checks)) {
    await sleep(GAP_MS)
    const beganMs = Date.now()
    let outcome
    try {
      outcome = { ok: true, ...(await Promise.race([check(), late(feature)])) }
    } catch (error) {
      outcome = { ok: false, detail: describe(error) }
    }
    say({ feature, ...outcome, beganMs, endedMs: Date.now() })
  }
  process.exit(0)
}

function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

async function late(feature) {
  await sleep(CHECK_MS_MAX, undefined, { ref: false })
  throw new Error(`${feature} took more than ${CHECK_MS_MAX / 1000} s`)
}

function describe(error) {
  const said = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  const cause = error instanceof Error && error.cause !== undefined ? ` (${describe(error.cause)})` : ''
  return (said + cause).slice(0, DETAIL_CHARS_MAX)
}

/** A text longer than the server takes. */
export function tooLong() {
  return 'long '.repeat(Math.ceil((world.bodyBytesMax * 1.2) / 5))
}

/**
 * Waits for a promise to be refused and gives back with what; fails when it is not.
 * @param {() => Promise<unknown>} work
 * @returns {Promise<any>}
 */
export async function refusal(work) {
  let answer
  try {
    answer = await work()
  } catch (error) {
    return error
  }
  assert.fail(`no error, but ${JSON.stringify(answer)?.slice(0, 200)}`)
}

/**
 * The checks of refusals, for clients that throw errors with a status.
 * @param {object} client
 * @param {(options: { key?: string, model?: string, text?: string }) => Promise<unknown>} client.ask Asks once, whole; repeats as the client does.
 * @param {(error: any, status: number) => void} client.isError Asserts that an error is what this client makes of a status.
 * @param {number} [client.repeats] How often this client repeats what may be repeated.
 * @param {readonly number[]} [client.statuses]
 */
export function refusals({ ask, isError, repeats, statuses = [401, 402, 404, 413, 429, 503] }) {
  const again = repeats === undefined ? undefined : 1 + repeats
  const cases = {
    401: [{ key: world.wrongKey }, 1],
    402: [{ key: world.brokeKey }, 1],
    404: [{ model: world.models.missing }, 1],
    413: [{ text: tooLong() }, undefined],
    429: [{ model: world.models.overloaded }, again],
    503: [{ model: world.models.down }, again],
  }
  return Object.fromEntries(
    statuses.map(status => [
      String(status),
      async () => {
        const [options, requests] = cases[status]
        const error = await refusal(() => ask(options))
        isError(error, status)
        return { requests, detail: error?.constructor?.name }
      },
    ]),
  )
}
