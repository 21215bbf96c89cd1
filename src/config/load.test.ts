import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from './config-error.ts'
import { type ConfigFlags, loadConfig } from './load.ts'

const FILE = '/home/ada/.headrace/config.yaml'

interface Written {
  file?: string
  env?: Record<string, string>
  flags?: ConfigFlags
  /** Path of the file; the default home's when unsaid. */
  at?: string
}

function load({ file, env = {}, flags = {}, at = FILE }: Written) {
  return loadConfig({
    flags,
    env,
    userHome: '/home/ada',
    cwd: '/desk',
    readFile: path => (path === at && file !== undefined ? file : null),
  })
}

/** The settings that differ from the defaults, dotted. */
function changed(written: Written): Record<string, unknown> {
  const flat = (value: unknown, path: string): [string, unknown][] =>
    typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0
      ? Object.entries(value).flatMap(([key, inner]) => flat(inner, path === '' ? key : `${path}.${key}`))
      : [[path, value]]
  const defaults = new Map(flat(load({}).config, ''))
  return Object.fromEntries(
    flat(load(written).config, '').filter(
      ([path, value]) => JSON.stringify(defaults.get(path)) !== JSON.stringify(value),
    ),
  )
}

function check(name: string, written: Written, expected: Record<string, unknown>) {
  test(`config: ${name}`, () => assert.deepEqual(changed(written), expected))
}

function checkRefused(name: string, written: Written, ...lines: string[]) {
  test(`config refused: ${name}`, () => {
    assert.throws(
      () => load(written),
      (error: unknown) => {
        assert.ok(error instanceof ConfigError)
        assert.deepEqual(error.message.split('\n'), lines)
        return true
      },
    )
  })
}

function checkWarned(name: string, written: Written, ...warnings: string[]) {
  test(`config warned: ${name}`, () => assert.deepEqual(load(written).warnings, warnings))
}

const UPSTREAM = `
upstreams:
  - id: vllm
    baseUrl: http://10.0.0.7:8000/v1
    allowPrivate: true
    models:
      - {model: v4, name: deepseek-ai/V4, contextTokens: 4096, price: {input: 1.30, cachedInput: 0.10, output: 2.60}}
`

check('nothing written', {}, {})
check('an empty file', { file: '' }, {})
check('a file of comments', { file: '# nothing\n' }, {})
check('a section left empty', { file: 'server:\n  cors: {}\n' }, {})
check('a file', { file: 'server:\n  port: 9000\nlog: {level: debug}\n' }, { 'server.port': 9000, 'log.level': 'debug' })
check(
  'the environment over the file',
  { file: 'server: {port: 1}', env: { HEADRACE_SERVER_PORT: '2' } },
  { 'server.port': 2 },
)
check(
  'the short name',
  { env: { HEADRACE_PORT: '2', HEADRACE_HOST: 'localhost' } },
  { 'server.port': 2, 'server.host': 'localhost' },
)
check(
  'the long name over the short one',
  { env: { HEADRACE_PORT: '2', HEADRACE_SERVER_PORT: '3' } },
  { 'server.port': 3 },
)
check(
  'flags over the environment',
  { env: { HEADRACE_PORT: '2' }, flags: { set: ['server.port=3'] } },
  { 'server.port': 3 },
)
check('the flag of its own over --set', { flags: { set: ['server.port=3'], port: '4' } }, { 'server.port': 4 })
check('an empty variable counts as unset', { env: { HEADRACE_PORT: '', HEADRACE_HOME: '' } }, {})
check(
  'a variable that Kubernetes sets is not meant for us',
  { env: { HEADRACE_PORT: 'tcp://10.0.0.1:8080', HEADRACE_PORT_8080_TCP: 'x' } },
  {},
)
check(
  'a list from the environment',
  { env: { HEADRACE_SERVER_ALLOWED_HOSTS: 'a.example, b.example' } },
  { 'server.allowedHosts': ['a.example', 'b.example'] },
)
check(
  'true, false and null from text',
  { env: { HEADRACE_TELEMETRY_METRICS: 'false', HEADRACE_MODELS_DEFAULT: 'null' } },
  { 'telemetry.metrics': false, 'models.default': null },
)
check(
  'a number or a word',
  { flags: { set: ['engine.threads=2', 'engine.contextTokens=auto'] } },
  { 'engine.threads': 2 },
)
check(
  'digits that are text stay text',
  { flags: { set: ['money.startingCredit=12.50', 'models.default=4'] } },
  { 'money.startingCredit': '12.50', 'models.default': '4' },
)
check(
  'money in the file keeps its digits',
  { file: 'money: {startingCredit: 1.10}' },
  { 'money.startingCredit': '1.10' },
)
check(
  'one half of a section that is null otherwise, from two variables',
  { env: { HEADRACE_SERVER_TLS_CERT_FILE: '/c', HEADRACE_SERVER_TLS_KEY_FILE: '~/k' } },
  { 'server.tls.certFile': '/c', 'server.tls.keyFile': '/home/ada/k' },
)
check(
  'a path in the file is relative to the file',
  { file: 'engine: {libraryDir: gpu}' },
  { 'engine.libraryDir': '/home/ada/.headrace/gpu' },
)
check(
  'a path in a flag is relative to the working folder',
  { flags: { set: ['engine.libraryDir=gpu'] } },
  { 'engine.libraryDir': '/desk/gpu' },
)
check(
  'a home, and the file in it',
  { file: 'server: {port: 5}', at: '/desk/h/config.yaml', flags: { home: 'h' } },
  { home: '/desk/h', 'server.port': 5 },
)
check(
  'a named file',
  { file: 'home: data', at: '/etc/headrace.yaml', env: { HEADRACE_CONFIG: '/etc/headrace.yaml' } },
  { home: '/etc/data' },
)
check(
  'an anchor',
  { file: 'server: {host: &h localhost, allowedHosts: [*h]}' },
  { 'server.host': 'localhost', 'server.allowedHosts': ['localhost'] },
)

test('config: an upstream with its defaults, prices exact', () => {
  assert.deepEqual(load({ file: UPSTREAM }).config.upstreams, [
    {
      id: 'vllm',
      api: 'chat',
      baseUrl: 'http://10.0.0.7:8000/v1',
      apiKeyEnv: null,
      connectionsMax: 256,
      queueDepthMax: 1024,
      allowPrivate: true,
      keepsNoPrompts: false,
      continuation: 'unchanged',
      stoppable: true,
      headersTimeoutMs: 300_000,
      models: [
        {
          model: 'v4',
          name: 'deepseek-ai/V4',
          aliases: [],
          ownedBy: 'unknown',
          license: 'unknown',
          contextTokens: 4096,
          outputTokensMax: null,
          tokenizer: null,
          quantization: null,
          efforts: {},
          trancheTokens: 8192,
          capabilities: {
            chat: true,
            completion: false,
            tools: true,
            reasoning: false,
            jsonSchema: true,
            logprobs: false,
            vision: false,
            embeddings: false,
            rerank: false,
            suffix: false,
          },
          price: { input: '1.30', cachedInput: '0.10', output: '2.60' },
          cost: null,
          dimensions: null,
        },
      ],
    },
  ])
})

test('config: a path inside a list is relative to the file that has it', () => {
  const { config } = load({ file: UPSTREAM.replace('name:', 'tokenizer: v4/tokenizer.json, name:') })
  assert.equal(config.upstreams[0]?.models[0]?.tokenizer, '/home/ada/.headrace/v4/tokenizer.json')
})

test('config: the whole is frozen, and knows where each setting was written', () => {
  const { config, origins, file } = load({
    file: 'server:\n  port: 9000\n',
    env: { HEADRACE_LOG_LEVEL: 'warn' },
    flags: { host: '::1' },
  })
  assert.throws(() => Object.assign(config.server.cors.origins, ['x']), TypeError)
  assert.throws(() => Object.assign(config.server, { port: 1 }), TypeError)
  assert.equal(file, FILE)
  assert.equal(origins.get('server.port'), `${FILE}:2`)
  assert.equal(origins.get('log.level'), 'HEADRACE_LOG_LEVEL')
  assert.equal(origins.get('server.host'), '--host')
})

checkRefused(
  'a misspelt setting',
  { file: 'server:\n  prot: 1\n' },
  `${FILE}:2: server.prot is no setting; did you mean port?`,
)
checkRefused(
  'a strange setting',
  { file: 'telemetry: {colour: 1}\n' },
  `${FILE}:1: telemetry.colour is no setting; known here: metrics`,
)
checkRefused(
  'a wrong type',
  { file: '\nserver:\n  port: "80"\n' },
  `${FILE}:3: server.port is "80"; allowed: a whole number from 0 to 65535 (default 8080)`,
)
checkRefused(
  'out of range, by flag',
  { flags: { port: '70000' } },
  '--port: server.port is 70000; allowed: a whole number from 0 to 65535 (default 8080)',
)
checkRefused(
  'not a number, by variable',
  { env: { HEADRACE_PORT: 'http' } },
  'HEADRACE_PORT: server.port is "http"; allowed: a whole number from 0 to 65535 (default 8080)',
)
checkRefused(
  'a fraction',
  { flags: { set: ['engine.parallel=1.5'] } },
  '--set engine.parallel: engine.parallel is 1.5; allowed: a whole number from 1 to 256 (default 4)',
)
checkRefused(
  'no choice',
  { env: { HEADRACE_ENGINE_VARIANT: 'rocm' } },
  'HEADRACE_ENGINE_VARIANT: engine.variant is "rocm"; allowed: default, cuda, vulkan (default default)',
)
checkRefused(
  'neither word nor number',
  { env: { HEADRACE_ENGINE_THREADS: 'many' } },
  'HEADRACE_ENGINE_THREADS: engine.threads is "many"; allowed: auto, or a whole number from 1 to 1024 (default auto)',
)
checkRefused(
  'half of a pair',
  { env: { HEADRACE_SERVER_TLS_CERT_FILE: '/c' } },
  'HEADRACE_SERVER_TLS_CERT_FILE: server.tls.keyFile is missing; allowed: a path',
)
checkRefused(
  'an empty section',
  { file: 'server:\n' },
  `${FILE}:1: server is null; allowed: a section with host, port, tls, trustedProxies, allowedHosts, cors, publicModels, bodyBytesMax, headerBytesMax, connectionsMax, requestTimeoutMs, keepAliveCommentMs, firstByteTimeoutMs, requestDeadlineMs, drainTimeoutMs`,
)
checkRefused(
  'a list of wrong things',
  { file: 'server:\n  trustedProxies:\n    - 10.0.0.0/8\n    - 10.0.0.0/33\n' },
  `${FILE}:4: server.trustedProxies.1 is "10.0.0.0/33"; allowed: an IP address or CIDR range such as 10.0.0.0/8`,
)
checkRefused(
  'money too fine',
  { file: 'money: {startingCredit: 0.0000000001}' },
  `${FILE}:1: money.startingCredit is "0.0000000001"; allowed: a decimal such as "5.00", 0 or more, at most 9 places (default 5.00)`,
)
checkRefused(
  'a list for a file',
  { file: '- 1\n' },
  `${FILE}:1: the file must hold settings such as "server:" with "port: 8080" below it`,
)
checkRefused(
  'not YAML',
  { file: 'server:\n  port: [1\n' },
  `${FILE}:3: not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ]`,
)
checkRefused(
  'a setting twice',
  { file: 'server: {}\nserver: {}\n' },
  `${FILE}:2: not valid YAML: Map keys must be unique`,
)
checkRefused(
  'a file that is not there',
  { flags: { config: 'x.yaml' } },
  '--config: there is no file /desk/x.yaml; "headrace config example" prints one to start from',
)
checkRefused(
  '--set without a value',
  { flags: { set: ['server.port'] } },
  '--set: "server.port" is not of the form section.setting=value, such as server.port=8081',
)
checkRefused(
  '--set of nothing known',
  { flags: { set: ['server.prt=1'] } },
  '--set: server.prt is no setting; did you mean server.port?',
)
checkRefused(
  'a file that names another home than its own',
  { file: 'home: /elsewhere\n' },
  `${FILE}:1: home is /elsewhere, but this file was found as ${FILE}, in another home; remove the line, or name the file with --config`,
)
checkRefused(
  'everything wrong is told at once',
  { file: 'log: {level: loud}\nserver: {port: -1}\n' },
  `${FILE}:2: server.port is -1; allowed: a whole number from 0 to 65535 (default 8080)`,
  `${FILE}:1: log.level is "loud"; allowed: trace, debug, info, warn, error, fatal, silent (default info)`,
)
checkRefused(
  'a first token later than the end',
  { flags: { set: ['server.requestDeadlineMs=20000'] } },
  'default: server.firstByteTimeoutMs is 600000, later than server.requestDeadlineMs (20000): it could never be reached; lower it or raise the deadline',
)
checkRefused(
  'an inside address that nobody allowed',
  { file: UPSTREAM.replace('allowPrivate: true', 'allowPrivate: false') },
  `${FILE}:4: upstreams.0.baseUrl is "http://10.0.0.7:8000/v1", an address inside this machine or network; if that is meant, set allowPrivate: true for this upstream`,
)
checkRefused(
  'an upstream that takes the name of the engine',
  { file: UPSTREAM.replace('id: vllm', 'id: engine') },
  `${FILE}:3: upstreams.0.id is "engine", which is the embedded engine; choose another`,
)
checkRefused(
  'a price that is not one',
  { file: UPSTREAM.replace('1.30', '"-1"') },
  `${FILE}:7: upstreams.0.models.0.price.input is "-1"; allowed: a decimal such as "1.30", 0 or more, at most 6 places`,
)
checkRefused(
  'an upstream without models',
  { file: 'upstreams: [{id: a, baseUrl: "https://a.example/v1", models: []}]' },
  `${FILE}:1: upstreams.0.models is []; allowed: a list of 1 to 1024`,
)

checkWarned(
  'a misspelt variable',
  { env: { HEADRACE_PROT: '1' } },
  'HEADRACE_PROT in the environment is no setting and has no effect; did you mean HEADRACE_PORT?',
)
checkWarned('a variable that an upstream reads its key from', {
  file: UPSTREAM.replace('allowPrivate', 'apiKeyEnv: HEADRACE_VLLM\n    allowPrivate'),
  env: { HEADRACE_VLLM: 'x' },
})
checkWarned(
  'open to the network in clear',
  { flags: { host: '192.168.1.5' } },
  '--host: server.host is 192.168.1.5: other machines can connect, and without server.tls their keys and prompts travel in clear; set server.tls, or server.trustedProxies when a proxy does TLS',
)
checkWarned(
  'open on all addresses without names',
  { flags: { host: '0.0.0.0', set: ['server.trustedProxies=10.0.0.1'] } },
  'default: server.allowedHosts is empty while server.host is 0.0.0.0: only clients that say a loopback name are answered; list the names that clients use',
)

const STRIPE =
  '{secretKeyEnv: HEADRACE_SK, webhookSecretEnv: HEADRACE_WH, successUrl: "https://a.example/", cancelUrl: "https://a.example/"'

check(
  'money of packs keeps its digits, and secrets named by the file are no mistakes',
  {
    file: `payments: {stripe: ${STRIPE}, packs: [{id: a, dollars: 10.50, bonus: 1.10}]}}`,
    env: { HEADRACE_SK: 'sk', HEADRACE_WH: 'wh' },
  },
  {
    'payments.stripe.secretKeyEnv': 'HEADRACE_SK',
    'payments.stripe.webhookSecretEnv': 'HEADRACE_WH',
    'payments.stripe.successUrl': 'https://a.example/',
    'payments.stripe.cancelUrl': 'https://a.example/',
    'payments.stripe.packs': [{ id: 'a', dollars: '10.50', bonus: '1.10' }],
    'payments.stripe.minDollars': '5.00',
    'payments.stripe.maxDollars': '1000.00',
  },
)
checkWarned('a secret that the file names', {
  file: `payments: {stripe: ${STRIPE}}}\nwebhooks: [{url: "https://a.example/", secretEnv: HEADRACE_HOOK}]`,
  env: { HEADRACE_SK: 'sk', HEADRACE_WH: 'wh', HEADRACE_HOOK: 'whsec_' },
})
checkWarned(
  'events in clear',
  { file: 'webhooks: [{url: "http://a.example/", secretEnv: X}]' },
  `${FILE}:1: webhooks.0.url is plain http to an outside address: what orgs have and spend travels in clear; use https`,
)
checkRefused(
  'a pack finer than a cent',
  { file: `payments: {stripe: ${STRIPE}, packs: [{id: a, dollars: "10.005"}]}}` },
  `${FILE}:1: payments.stripe.packs.0.dollars is "10.005"; allowed: a decimal such as "25.00", 0.50 to 999999.99, at most 2 places`,
)
checkRefused(
  'payments and endpoints that contradict themselves',
  {
    file: `
payments: {stripe: ${STRIPE}, packs: [{id: a, dollars: "1"}, {id: a, dollars: "2"}], minDollars: "9", maxDollars: "8"}}
webhooks:
  - {url: "http://10.0.0.1/", secretEnv: X}
  - {url: "http://10.0.0.1/", secretEnv: X, allowPrivate: true}
`,
  },
  `${FILE}:4: webhooks.0.url is "http://10.0.0.1/", an address inside this machine or network; if that is meant, set allowPrivate: true for this endpoint`,
  `${FILE}:5: webhooks.1.url is "http://10.0.0.1/" a second time: join the events in one entry`,
  `${FILE}:2: payments.stripe.packs.1.id is "a" a second time`,
  `${FILE}:2: payments.stripe.minDollars is 9, above payments.stripe.maxDollars (8): no amount could be paid; lower it`,
)
