import { z } from 'zod'

/**
 * A setting's metadata: `description` (sentences), `unit`, `allowed` (what a value must be, where type and bounds do not say it), `path`
 * (a file or folder: `~` and relative paths are resolved), `decimal` (an exact decimal: never read as a float) and `sample` (shown in
 * the example when the default says little).
 */
interface SettingMeta {
  readonly description: string
  readonly unit?: string
  readonly allowed?: string
  readonly path?: boolean
  readonly decimal?: boolean
  readonly sample?: string
}

export const KIB = 1024
export const MIB = 1024 * KIB
export const GIB = 1024 * MIB
export const SECOND_MS = 1_000
export const MINUTE_MS = 60 * SECOND_MS
export const DAY_MS = 24 * 60 * MINUTE_MS

/** Metadata of a setting. */
export const about = (description: string, more: Omit<SettingMeta, 'description'> = {}) => ({ description, ...more })

/** A number of bytes. */
export const bytes = (fallback: number, min: number, max: number, description: string) =>
  z
    .int()
    .min(min)
    .max(max)
    .default(fallback)
    .meta(about(description, { unit: 'bytes' }))

/** A time in milliseconds. */
export const milliseconds = (fallback: number, min: number, max: number, description: string) =>
  z
    .int()
    .min(min)
    .max(max)
    .default(fallback)
    .meta(about(description, { unit: 'milliseconds' }))

/** A whole number. */
export const count = (fallback: number, min: number, max: number, description: string, unit?: string) =>
  z.int().min(min).max(max).default(fallback).meta(about(description, { unit }))

/** Yes or no. */
export const flag = (fallback: boolean, description: string) => z.boolean().default(fallback).meta(about(description))

/** `auto`, or a number that the operator insists on. */
export const autoOr = (min: number, max: number, description: string, unit?: string) =>
  z
    .union([z.literal('auto'), z.int().min(min).max(max)])
    .default('auto')
    .meta(about(description, { unit }))

/** A file or folder, or null, which is the default. */
export const pathOrNull = (description: string) =>
  z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .meta(about(description, { path: true, allowed: 'a path, or null' }))

/** An id that clients ask for a model by. */
export const modelId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$/)
  .meta({ allowed: 'a model id: 1 to 128 letters, digits and . _ : / @ + -, the first a letter or digit' })

/** Whether a parser takes a text, for `refine`. */
export function succeeds(parse: (text: string) => unknown): (text: string) => boolean {
  return text => {
    try {
      parse(text)
      return true
    } catch {
      return false
    }
  }
}
