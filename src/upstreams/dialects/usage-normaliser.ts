import type { JsonObject } from '../../inference/request.ts'
import type { Usage } from '../../inference/usage.ts'
import { claimNothing, mergeClaims, type UsageClaims, usageOfClaims } from '../usage/claims.ts'
import type { UsageReport, UsageWire } from '../usage/usage-report.ts'
import { anthropicMessages } from './anthropic/messages-usage.ts'
import { llamaTimings } from './llama-server/timings-usage.ts'
import { ollamaNative } from './ollama/native-usage.ts'
import { openAiChat } from './openai/chat-usage.ts'
import { openAiInput } from './openai/input-usage.ts'
import { openAiResponses } from './openai/responses-usage.ts'

/** Every way of writing usage that is known, by the wire that it belongs to. */
const WIRES = {
  'openai-chat': openAiChat,
  'openai-input': openAiInput,
  'openai-responses': openAiResponses,
  'anthropic-messages': anthropicMessages,
  'llama-timings': llamaTimings,
  ollama: ollamaNative,
} as const satisfies Record<string, UsageWire>

/** A wire whose usage can be read. What differs within one is told by the fields that are there. */
export type UsageShape = keyof typeof WIRES

/** What an upstream says that a request took, in our terms. */
export interface NormalisedUsage {
  readonly usage: Usage
  /** Fields that we do not know; they travel on to the client. Undefined when there are none. */
  readonly extra?: JsonObject
  /** What the upstream says that it takes from us for the request; undefined when it says nothing, 0 when it is free. */
  readonly reportedCostNanodollars?: bigint
}

/**
 * Reads one usage object, whatever it is: the one function between what upstreams report and `Usage`. A count is *reported* or
 * *absent*, and absent is never zero: null, missing, negative, fractional or absurd values are absent, an explicit 0 is a report.
 * Undefined when the value says nothing at all. Never throws.
 */
export function normaliseUsage(shape: UsageShape, raw: unknown): NormalisedUsage | undefined {
  const report = WIRES[shape].read(raw)
  return report && normalised(report.claims, report.extra, report.costNanodollars)
}

/** Reads the usage of one answer out of its frames, in the order in which they came: there may be none, one, or one a frame. */
export class UsageReader {
  readonly #wire: UsageWire
  #claims: UsageClaims = {}
  #extra: JsonObject | undefined
  #costNanodollars: bigint | undefined
  #frameOutputTokens: number | undefined

  constructor(shape: UsageShape) {
    this.#wire = WIRES[shape]
  }

  /** All output tokens so far as the last frame read tells them by itself; undefined when it does not. */
  get frameOutputTokens(): number | undefined {
    return this.#frameOutputTokens
  }

  /**
   * Takes a frame; answers the usage so far if the frame told something about it. Each report is a running total, so it
   * stands in place of the one before and is never added to it. Reports of nothing in the middle of an answer, or after a
   * count was told, are place-holders and are passed over.
   */
  read(frame: JsonObject): NormalisedUsage | undefined {
    const report = this.#wire.reportIn(frame)
    if (report === undefined) {
      this.#frameOutputTokens = undefined
      return undefined
    }
    return this.#take(report)
  }

  #take(report: UsageReport): NormalisedUsage | undefined {
    const placeholder = claimNothing(report.claims) && (report.goesOn === true || !claimNothing(this.#claims))
    this.#frameOutputTokens = placeholder ? undefined : report.claims.output
    if (!placeholder) this.#claims = mergeClaims(this.#claims, report.claims)
    this.#extra = report.extra ?? this.#extra
    this.#costNanodollars = report.costNanodollars ?? this.#costNanodollars
    if (placeholder && report.costNanodollars === undefined) return undefined
    return normalised(this.#claims, this.#extra, this.#costNanodollars)
  }
}

function normalised(claims: UsageClaims, extra?: JsonObject, costNanodollars?: bigint): NormalisedUsage {
  return {
    usage: usageOfClaims(claims),
    ...(extra !== undefined && { extra }),
    ...(costNanodollars !== undefined && { reportedCostNanodollars: costNanodollars }),
  }
}
