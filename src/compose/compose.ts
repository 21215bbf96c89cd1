/** What the command line takes from here; it loads all of the program, so that only commands that need it wait for it. */

export { backUp, openOffline, restore } from './offline.ts'
export { serve } from './serve.ts'
