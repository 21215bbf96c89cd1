/** Preloaded into a server under test: on SIGUSR2 it collects garbage and writes what is left to standard error as one JSON line. */
process.on('SIGUSR2', () => {
  const collect = (globalThis as { gc?: () => void }).gc
  collect?.()
  collect?.()
  setTimeout(() => {
    collect?.()
    process.stderr.write(`{"collected":${JSON.stringify(process.memoryUsage())}}\n`)
  }, 500)
})
