import type { ProviderFormat } from '../provider-format.ts'
import { deepinfra } from './deepinfra.ts'
import { generic } from './generic.ts'
import { openai } from './openai.ts'
import { openrouter } from './openrouter.ts'

/** Every format by the name that the command line knows it by. */
export const PROVIDER_FORMATS: Readonly<Record<string, ProviderFormat>> = { openai, openrouter, deepinfra, generic }
