const KIB = 1024

/** `270.6 MiB`; bytes below a KiB stay whole. */
export function formatBytes(bytes: number): string {
  if (bytes < KIB) return `${bytes} B`
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes / KIB
  let unit = 0
  while (value >= 1023.95 && unit < units.length - 1) {
    value /= KIB
    unit++
  }
  return `${value.toFixed(1)} ${units[unit]}`
}

/** `640 ms`, `12.3 s`, `4 min 05 s`, `2 h 03 min`. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 999.5) return `${Math.round(durationMs)} ms`
  if (durationMs < 59_950) return `${(durationMs / 1000).toFixed(1)} s`
  const seconds = Math.round(durationMs / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${pad(seconds % 60)} s`
  const minutes = Math.round(seconds / 60)
  return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`
}

/** `1,234,567`, whatever the machine's language. */
export function formatCount(count: number | bigint): string {
  return count.toLocaleString('en-US')
}

/** `$5.00`; the decimal string as the control plane gives it, not a digit lost. */
export function formatMoney(dollars: string): string {
  return dollars.startsWith('-') ? `-$${dollars.slice(1)}` : `$${dollars}`
}

/** RFC 3339 → `2026-01-31 12:00:00`, UTC; the title of the column says so. */
export function formatTime(time: string): string {
  return time.replace('T', ' ').replace(/(\.\d+)?Z$/, '')
}

function pad(count: number): string {
  return String(count).padStart(2, '0')
}
