import { isIP } from 'node:net'
import { z } from 'zod'
import {
  about,
  bytes,
  count,
  DAY_MS,
  flag,
  GIB,
  KIB,
  MIB,
  MINUTE_MS,
  milliseconds,
  SECOND_MS,
} from './setting-kinds.ts'

/** The section `server`. */
export const server = z.strictObject({
  host: z
    .string()
    .min(1)
    .max(253)
    .regex(/^[^\s/]+$/)
    .default('127.0.0.1')
    .meta(
      about(
        'Address to listen on. Only this machine can connect until you choose another; then set tls, or put a reverse proxy in front.',
        { allowed: 'a host name or IP address without port' },
      ),
    ),
  port: count(8_080, 0, 65_535, 'TCP port to listen on; 0 takes any free one.'),
  tls: z
    .strictObject({
      certFile: z
        .string()
        .min(1)
        .meta(about('Certificate chain, PEM.', { path: true, allowed: 'a path' })),
      keyFile: z
        .string()
        .min(1)
        .meta(about('Its private key, PEM.', { path: true, allowed: 'a path' })),
    })
    .nullable()
    .default(null)
    .meta(
      about('Serve HTTPS with these files; null: plain HTTP.', { sample: '{certFile: cert.pem, keyFile: key.pem}' }),
    ),
  trustedProxies: z
    .array(z.string().refine(isCidr).meta({ allowed: 'an IP address or CIDR range such as 10.0.0.0/8' }))
    .max(256)
    .default([])
    .meta(
      about('Reverse proxies whose X-Forwarded-For is believed.', {
        sample: '[127.0.0.1, 10.0.0.0/8]',
      }),
    ),
  allowedHosts: z
    .array(
      z
        .string()
        .regex(/^(\*\.)?[A-Za-z0-9._-]+$|^\[?[0-9A-Fa-f:.]+\]?$/)
        .meta({ allowed: 'a host name such as api.example.com or *.example.com, without scheme or port' }),
    )
    .max(256)
    .default([])
    .meta(
      about(
        'Host names under which clients may call us, beside loopback names and server.host. Anything else is refused, so that a web page cannot reach a local server by DNS rebinding.',
        { sample: '[api.example.com]' },
      ),
    ),
  cors: z
    .strictObject({
      origins: z
        .array(z.string().refine(isOrigin).meta({ allowed: 'an origin such as https://app.example.com, or "*"' }))
        .max(256)
        .default([])
        .meta(
          about('Web origins whose pages may call the API from a browser.', { sample: '[https://app.example.com]' }),
        ),
    })
    .prefault({})
    .meta(about('Cross-origin calls from browsers.')),
  publicModels: flag(
    true,
    'Whether the lists of models need no API key, as clients and directories of models expect. They then show the prices for everybody, and no price of a group.',
  ),
  bodyBytesMax: bytes(10 * MIB, KIB, GIB, 'Longest request body.'),
  headerBytesMax: bytes(16 * KIB, KIB, MIB, 'Longest request line and headers together.'),
  connectionsMax: count(10_000, 1, 1_000_000, 'Most open client connections; more are closed at once.'),
  requestTimeoutMs: milliseconds(MINUTE_MS, SECOND_MS, DAY_MS, 'Longest time to receive a whole request.'),
  keepAliveCommentMs: milliseconds(
    10 * SECOND_MS,
    SECOND_MS,
    10 * MINUTE_MS,
    'A stream that is silent for so long gets a comment line, so that proxies keep it open.',
  ),
  firstByteTimeoutMs: milliseconds(
    10 * MINUTE_MS,
    SECOND_MS,
    DAY_MS,
    'Longest time from a request to its first output token, queueing included.',
  ),
  requestDeadlineMs: milliseconds(
    60 * MINUTE_MS,
    SECOND_MS,
    DAY_MS,
    'Longest time from a request to the end of its answer.',
  ),
  drainTimeoutMs: milliseconds(
    30 * SECOND_MS,
    0,
    60 * MINUTE_MS,
    'When stopping, how long running requests may go on before they are ended.',
  ),
})

function isOrigin(text: string): boolean {
  if (text === '*') return true
  const url = URL.parse(text)
  return url !== null && url.origin === text
}

function isCidr(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
}
