import type { Progress } from './output/progress.ts'
import type { ServeEvent } from './serve-types.ts'

/** What was downloaded while a server started, and how long that took. */
export interface StartTimes {
  readonly downloads: readonly { readonly model: string; readonly source: string; readonly bytes: number }[]
  readonly downloadingMs: number
  readonly otherMs: number
}

/** Follows the events of a start: shows them, and keeps the times apart. */
export interface StartWatch {
  onEvent(event: ServeEvent): void
  /** To be called once, when the server accepts clients. */
  finish(): StartTimes
}

/** The phase in which a download is prepared, runs, and is unpacked; its time counts as downloading. */
const DOWNLOAD_PHASE = 'download'

/**
 * `show` gets a line for each phase and note; the progress gets the bytes. A download begins with its phase, or with its
 * first bytes, and ends when the next phase begins.
 */
export function watchStart(
  monotonicMs: () => number,
  progress: Progress | null,
  show: (line: string, kind: 'phase' | 'note') => void,
): StartWatch {
  const startMs = monotonicMs()
  const sources = new Map<string, { source: string; from: number; bytes: number }>()
  let downloadSinceMs: number | null = null
  let downloadingMs = 0
  const leaveDownload = (nowMs: number) => {
    if (downloadSinceMs !== null) downloadingMs += nowMs - downloadSinceMs
    downloadSinceMs = null
  }
  return {
    onEvent(event) {
      if (event.type === 'download') {
        downloadSinceMs ??= monotonicMs()
        const seen = sources.get(event.model)
        // What an earlier try had fetched already is not fetched again.
        if (seen?.source !== event.source)
          sources.set(event.model, { source: event.source, from: event.bytesDone, bytes: 0 })
        else seen.bytes = Math.max(seen.bytes, event.bytesDone - seen.from)
        progress?.update(event.model, event.bytesDone, event.bytesTotal)
        return
      }
      progress?.end()
      if (event.type === 'note') {
        show(event.message, 'note')
        return
      }
      leaveDownload(monotonicMs())
      if (event.name === DOWNLOAD_PHASE) downloadSinceMs = monotonicMs()
      show(event.detail ?? event.name, 'phase')
    },
    finish() {
      progress?.end()
      const nowMs = monotonicMs()
      leaveDownload(nowMs)
      const downloads = [...sources].flatMap(([model, { source, bytes }]) =>
        bytes > 0 ? [{ model, source, bytes }] : [],
      )
      return { downloads, downloadingMs, otherMs: nowMs - startMs - downloadingMs }
    },
  }
}
