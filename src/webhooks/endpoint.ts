import { Webhook } from 'standardwebhooks'
import type { Config } from '../config/schema.ts'

/** Bounds of the specification (https://www.standardwebhooks.com) on a secret. */
const SECRET_BYTES_MIN = 24
const SECRET_BYTES_MAX = 64

/** Where events go, and how they are signed. */
export interface Endpoint {
  readonly url: string
  readonly allowPrivate: boolean
  /** The headers of one try of Standard Webhooks: id, time of the try, and `v1` signature over both and the body. */
  headers(id: string, body: string, nowMs: number): Record<string, string>
}

/** The endpoint of a setting. Throws with the cure when its secret is not there or is no secret. */
export function createEndpoint(
  { url, secretEnv, allowPrivate }: Config['webhooks'][number],
  env: Readonly<Record<string, string | undefined>>,
): Endpoint {
  const webhook = new Webhook(checkedSecret(url, secretEnv, env[secretEnv]))
  return {
    url,
    allowPrivate,
    headers(id, body, nowMs) {
      return {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': String(Math.floor(nowMs / 1000)),
        'webhook-signature': webhook.sign(id, new Date(nowMs), body),
      }
    },
  }
}

function checkedSecret(url: string, name: string, secret: string | undefined): string {
  const { host } = new URL(url)
  if (secret === undefined || secret === '') {
    throw new Error(
      `webhooks: ${host} takes its secret from the environment variable ${name}, which is not set. Set it to "whsec_" and 24 random bytes in base64, such as: echo whsec_$(openssl rand -base64 24)`,
    )
  }
  const [, base64 = ''] = /^whsec_([A-Za-z0-9+/]+=*)$/.exec(secret) ?? []
  const { length } = Buffer.from(base64, 'base64')
  if (length < SECRET_BYTES_MIN || length > SECRET_BYTES_MAX) {
    throw new Error(
      `webhooks: the secret of ${host} in ${name} has to be "whsec_" and ${SECRET_BYTES_MIN} to ${SECRET_BYTES_MAX} bytes in base64, such as: echo whsec_$(openssl rand -base64 24)`,
    )
  }
  return secret
}
