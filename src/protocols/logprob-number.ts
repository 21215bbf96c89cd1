/** OpenAI's number for "so improbable that it has no logarithm"; JSON has no infinity. */
const LOGPROB_MIN = -9999

/** A log probability as a JSON number; null where there is none (the first token of an echoed prompt). */
export function logprobNumber(logprob: number): number | null {
  if (Number.isNaN(logprob)) return null
  return Math.max(logprob, LOGPROB_MIN)
}
