import { destination, type Logger, pino, stdTimeFunctions } from 'pino'
import type { Config } from '../config/schema.ts'
import type { LiveRates } from '../telemetry/live-rates.ts'
import { createPrettyLog } from '../telemetry/pretty-log.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'

/** The log, on standard error. */
export function createLog(config: Config): Logger {
  const { level, format } = config.log
  const pretty = format === 'pretty' || (format === 'auto' && process.stderr.isTTY)
  const options = { level, base: undefined, timestamp: stdTimeFunctions.isoTime }
  return pino(options, pretty ? createPrettyLog(process.stderr) : destination(2))
}

/** The telemetry of the data plane, which tells the live rates of settlements as well. */
export function observed(telemetry: Telemetry, live: LiveRates): Telemetry {
  return {
    admitted: modelId => telemetry.admitted(modelId),
    refused: (code, requestId, cause, from) => telemetry.refused(code, requestId, cause, from),
    replayed: () => telemetry.replayed(),
    settled(settlement) {
      telemetry.settled(settlement)
      live.settled(settlement)
    },
  }
}
