import { versionText } from '../cli/version-text.ts'

/** The version of the program. */
export const VERSION = versionText()
