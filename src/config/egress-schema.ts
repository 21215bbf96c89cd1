import { z } from 'zod'

const MIB = 1024 * 1024

const host = z
  .string()
  .regex(/^\.?([a-z0-9-]+\.)*[a-z0-9-]+$|^\[[0-9a-f:.]+\]$/i)
  .meta({ allowed: 'a host name, or a name with a dot before it for all below it' })

/** The section `egress`. */
export const egress = z.strictObject({
  allowPrivate: z.boolean().default(false).meta({
    description:
      'Allow addresses inside this machine or network. Off, so that no client can reach inside through a URL, a redirect or a name that it controls.',
  }),
  allowedHosts: z.array(host).max(1_024).default([]).meta({
    description:
      'The only hosts that may be asked; ".example.com" means all below example.com. Empty: any host that is outside.',
    sample: '[images.example.com, .cdn.example.com]',
  }),
  ports: z
    .union([z.literal('all'), z.array(z.int().min(1).max(65_535)).min(1).max(64)])
    .default([80, 443])
    .meta({ description: 'Ports that may be asked.', allowed: 'all, or a list of ports' }),
  bytesMax: z
    .int()
    .min(1_024)
    .max(256 * MIB)
    .default(10 * MIB)
    .meta({ description: 'Longest answer that is fetched, such as an image.', unit: 'bytes' }),
  timeoutMs: z
    .int()
    .min(100)
    .max(300_000)
    .default(15_000)
    .meta({ description: 'Longest time for one, redirects and all bytes included.', unit: 'milliseconds' }),
})
