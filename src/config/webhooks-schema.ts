import { z } from 'zod'

/** Everything that a webhook can tell; what each carries is in docs/guides/webhooks.md. */
export const WEBHOOK_EVENTS = [
  'credit.low',
  'credit.exhausted',
  'budget.threshold',
  'budget.exhausted',
  'overrun',
  'payment.received',
] as const

/** Name of an environment variable that holds a secret; the secret itself never stands in a file. */
export const envName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/)
  .meta({ allowed: 'the name of an environment variable' })

/** Longest URL of an endpoint. */
const URL_CHARS_MAX = 2_048

const endpoint = z.strictObject({
  url: z.string().max(URL_CHARS_MAX).refine(isEndpointUrl).meta({
    description: 'Where events are sent, by POST. A redirect is not followed.',
    allowed: 'an http or https URL without credentials or fragment',
  }),
  secretEnv: envName.meta({
    description:
      'Environment variable with the secret that signs events: "whsec_" and 24 to 64 random bytes in base64. The receiver has it too.',
    allowed: 'the name of an environment variable',
  }),
  events: z
    .union([z.literal('all'), z.array(z.enum(WEBHOOK_EVENTS)).min(1).max(WEBHOOK_EVENTS.length)])
    .default('all')
    .meta({
      description: 'Which events are sent there.',
      allowed: `all, or a list of ${WEBHOOK_EVENTS.join(', ')}`,
    }),
  allowPrivate: z.boolean().default(false).meta({
    description:
      'Allow an address inside this machine or network; off, so that a wrong or rebound name cannot reach inside.',
  }),
})

/** The section `webhooks`. */
export const webhooks = z.array(endpoint).max(16).default([]).meta({
  description: 'Endpoints that are told of low credit, payments and other events of money, signed and retried.',
  sample: '[{url: "https://example.com/headrace", secretEnv: HEADRACE_WEBHOOK_SECRET, events: [credit.low]}]',
})

function isEndpointUrl(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return false
  return url.username === '' && url.password === '' && url.hash === ''
}
