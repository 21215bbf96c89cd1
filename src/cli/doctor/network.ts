import { PAYMENT_HOSTS } from '../../config/payments-schema.ts'
import type { Config } from '../../config/schema.ts'
import { loadCatalogue } from '../../models/catalogue.ts'
import { listModelFiles } from '../../models/model-files.ts'
import { findPip } from '../../models/pip.ts'
import { parseSourceSpec } from '../../models/pull-spec.ts'
import { type Finding, note, ok } from './finding.ts'

/** A host that we would contact, and for what. */
export interface Contact {
  readonly host: string
  readonly purpose: string
}

/** pip knows which; asking it would be a call that nobody asked for. */
const PIP_INDEX = 'the package index of pip on this machine'

/** Every host that this configuration leads to. Nothing is contacted to find out. */
export async function contacts(config: Config, env: Readonly<Record<string, string | undefined>>): Promise<Contact[]> {
  const found: Contact[] = config.upstreams.map(upstream => ({
    host: new URL(upstream.baseUrl).host,
    purpose: `upstream ${upstream.id}: requests for ${upstream.models.map(model => model.model).join(', ')}`,
  }))
  for (const { url } of config.webhooks) found.push({ host: new URL(url).host, purpose: 'webhook: events of money' })
  for (const [name, host] of Object.entries(PAYMENT_HOSTS)) {
    if (config.payments[name as keyof typeof PAYMENT_HOSTS] !== null)
      found.push({ host, purpose: `payments through ${name}: to begin a checkout` })
  }
  const entry =
    config.models.default === null
      ? undefined
      : loadCatalogue(config.home, config.models.catalogueFile).find(config.models.default)
  const there = entry !== undefined && (await listModelFiles(config.home)).some(file => file.name === entry.file.name)
  if (entry === undefined || there || !config.models.autoPull) return found
  const purpose = `fetch ${entry.id} at the next start`
  for (const text of entry.file.sources) {
    const source = parseSourceSpec(text)
    if (source.kind === 'hf') found.push({ host: new URL(env.HF_ENDPOINT || 'https://huggingface.co').host, purpose })
    if (source.kind === 'url') found.push({ host: source.url.host, purpose })
    if (source.kind === 'pypi') found.push({ host: PIP_INDEX, purpose })
  }
  return found
}

/** The contacts as findings. */
export async function networkFindings(
  config: Config,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Finding[]> {
  const found = await contacts(config, env)
  if (found.length === 0) return [ok('network', 'No other host would be contacted', { contacts: found })]
  const missing = config.upstreams.filter(
    upstream => upstream.apiKeyEnv !== null && (env[upstream.apiKeyEnv] ?? '') === '',
  )
  const viaPip = found.some(contact => contact.host === PIP_INDEX)
  return [
    ...(viaPip && (await findPip(env)) === null
      ? [
          note(
            'network',
            'This machine has no pip, so sources that are Python packages are left out.',
            'Install Python with pip, where the other sources cannot be reached.',
          ),
        ]
      : []),
    ...found.map(({ host, purpose }) => ok('network', `${host}: ${purpose}`, { host, purpose })),
    ...missing.map(upstream =>
      note(
        'network',
        `${upstream.apiKeyEnv}, the API key of upstream ${upstream.id}, is not in this environment.`,
        'Set it where the server is started.',
      ),
    ),
  ]
}
