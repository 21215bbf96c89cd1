import { styleText } from 'node:util'

const LEVELS: Record<number, string> = { 10: 'trace', 20: 'debug', 30: 'info ', 40: 'warn ', 50: 'error', 60: 'fatal' }
const COLOURS: Record<number, 'dim' | 'cyan' | 'yellow' | 'red'> = {
  10: 'dim',
  20: 'dim',
  30: 'cyan',
  40: 'yellow',
  50: 'red',
  60: 'red',
}

/** Where pino writes: each line it makes is JSON, and a person at a terminal gets it as `time level message key=value`. */
export function createPrettyLog(terminal: NodeJS.WriteStream): { write(line: string): void } {
  return {
    write(line) {
      const { level, time, msg, err, ...fields } = JSON.parse(line)
      const rest = Object.entries(fields).map(
        ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
      )
      const label = styleText(COLOURS[level] ?? 'dim', LEVELS[level] ?? String(level), { stream: terminal })
      const text = [styleText('dim', String(time).slice(11, 23), { stream: terminal }), label, msg, ...rest]
        .filter(Boolean)
        .join(' ')
      terminal.write(`${text}\n${err?.stack === undefined ? '' : `${err.stack}\n`}`)
    },
  }
}
