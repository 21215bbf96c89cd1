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

/** Where the events are shown. */
export interface StartView {
  /** What is being done now; the next one takes its place. */
  phase(text: string): void
  /** One sentence to be read. */
  note(text: string): void
  readonly progress: Progress
}

/** The phase in which a download is prepared, runs, and is unpacked; its time counts as downloading. */
const DOWNLOAD_PHASE = 'download'

const PHASE_TEXT: Readonly<Record<string, string>> = {
  store: 'Opening the ledger',
  model: 'Looking for the model',
  download: 'Fetching',
  listen: 'Opening the port',
  engine: 'Loading the model',
}

/** A download begins with its phase, or with its first bytes, and ends when the next phase begins. */
export function watchStart(monotonicMs: () => number, view: StartView | null): StartWatch {
  const startMs = monotonicMs()
  const downloads = new Map<string, { model: string; source: string; bytes: number }>()
  let downloadSinceMs: number | null = null
  let downloadingMs = 0
  const leaveDownload = () => {
    if (downloadSinceMs !== null) downloadingMs += monotonicMs() - downloadSinceMs
    downloadSinceMs = null
  }
  return {
    onEvent(event) {
      if (event.type === 'download') {
        const { model, source, bytesDone, bytesTotal } = event
        downloadSinceMs ??= monotonicMs()
        // Of several sources that are tried in turn, the last one brought the model. What a source counts on the disk may
        // pass what it announced, while a part is there twice.
        const bytes = Math.min(bytesDone, bytesTotal ?? bytesDone)
        downloads.set(model, { model, source, bytes })
        view?.progress.update(model, bytes, bytesTotal)
        return
      }
      view?.progress.end()
      if (event.type === 'note') {
        view?.note(event.message)
        return
      }
      leaveDownload()
      if (event.name === DOWNLOAD_PHASE) downloadSinceMs = monotonicMs()
      const text = PHASE_TEXT[event.name] ?? event.name
      view?.phase(event.detail === undefined ? text : `${text}: ${event.detail}`)
    },
    finish() {
      view?.progress.end()
      leaveDownload()
      return { downloads: [...downloads.values()], downloadingMs, otherMs: monotonicMs() - startMs - downloadingMs }
    },
  }
}
