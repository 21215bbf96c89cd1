import type { Style } from './style.ts'
import { formatBytes, formatDuration } from './units.ts'

/** Where progress is painted. */
export interface ProgressOptions {
  readonly write: (text: string) => void
  /** A line that repaints itself; otherwise a plain line now and then. */
  readonly isTerminal: boolean
  readonly columns: number
  readonly monotonicMs: () => number
  readonly style: Style
}

/** The progress of one or several downloads after another. */
export interface Progress {
  update(label: string, bytesDone: number, bytesTotal: number | null): void
  /** Ends the line; the next text starts on a fresh one. */
  end(): void
}

const REPAINT_MS = 100
/** Without a terminal: a line each tenth, or each so many bytes where the whole is unknown. */
const PLAIN_TENTH = 0.1
const PLAIN_BYTES = 64 * 1024 * 1024
/** Speed is averaged over this, so that the remaining time does not jump. */
const SPEED_WINDOW_MS = 5_000

/** A bar with speed and remaining time on a terminal, sparse lines elsewhere. */
export function createProgress(options: ProgressOptions): Progress {
  let label: string | null = null
  let paintedMs = Number.NEGATIVE_INFINITY
  let plainStep = -1
  let painted = false
  let samples: { atMs: number; bytes: number }[] = []
  return {
    update(newLabel, bytesDone, bytesTotal) {
      const nowMs = options.monotonicMs()
      if (newLabel !== label) {
        this.end()
        label = newLabel
        samples = []
        plainStep = -1
        paintedMs = Number.NEGATIVE_INFINITY
      }
      // A download that starts over, since its server cannot resume, must not show a negative speed.
      if (bytesDone < (samples.at(-1)?.bytes ?? 0)) samples = []
      samples.push({ atMs: nowMs, bytes: bytesDone })
      while (samples.length > 2 && nowMs - (samples[0]?.atMs ?? nowMs) > SPEED_WINDOW_MS) samples.shift()
      const complete = bytesTotal !== null && bytesDone >= bytesTotal
      if (options.isTerminal) {
        if (nowMs - paintedMs < REPAINT_MS && !complete) return
        paintedMs = nowMs
        painted = true
        options.write(`\r\x1b[K${bar(newLabel, bytesDone, bytesTotal, speed(samples), options)}`)
        return
      }
      const step =
        bytesTotal === null
          ? Math.floor(bytesDone / PLAIN_BYTES)
          : Math.floor(bytesDone / bytesTotal / PLAIN_TENTH + 1e-9)
      if (step <= plainStep) return
      plainStep = step
      options.write(`${plain(newLabel, bytesDone, bytesTotal)}\n`)
    },
    end() {
      if (painted) options.write('\n')
      painted = false
      label = null
    },
  }
}

function plain(label: string, bytesDone: number, bytesTotal: number | null): string {
  if (bytesTotal === null || bytesTotal === 0) return `${label}: ${formatBytes(bytesDone)}`
  return `${label}: ${Math.floor((bytesDone / bytesTotal) * 100)}% of ${formatBytes(bytesTotal)}`
}

function bar(
  label: string,
  bytesDone: number,
  bytesTotal: number | null,
  bytesPerMs: number | null,
  options: ProgressOptions,
): string {
  const rate = bytesPerMs === null ? '' : `  ${formatBytes(Math.round(bytesPerMs * 1000))}/s`
  if (bytesTotal === null || bytesTotal === 0) return fit(`${label}  ${formatBytes(bytesDone)}${rate}`, options.columns)
  const share = Math.min(1, bytesDone / bytesTotal)
  const left =
    bytesPerMs === null || bytesPerMs <= 0 || share === 1
      ? ''
      : `  ${formatDuration((bytesTotal - bytesDone) / bytesPerMs)} left`
  const tail = `${String(Math.floor(share * 100)).padStart(3)}%  ${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)}${rate}${left}`
  const room = Math.min(30, options.columns - label.length - tail.length - 5)
  if (room < 5) return fit(`${label}  ${tail}`, options.columns)
  const full = Math.round(share * room)
  return `${label}  ${options.style.cyan('█'.repeat(full))}${options.style.dim('░'.repeat(room - full))}  ${tail}`
}

/** A line that wrapped could not be repainted. */
function fit(line: string, columns: number): string {
  return line.length < columns ? line : line.slice(0, Math.max(0, columns - 1))
}

function speed(samples: readonly { atMs: number; bytes: number }[]): number | null {
  const [first, last] = [samples[0], samples.at(-1)]
  if (first === undefined || last === undefined || last.atMs - first.atMs < REPAINT_MS) return null
  return (last.bytes - first.bytes) / (last.atMs - first.atMs)
}
