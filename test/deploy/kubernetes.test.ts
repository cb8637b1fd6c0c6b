import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { IPodTemplateSpec } from 'kubernetes-models/v1'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { Environment } from '../../src/config/environment.ts'
import { loadConfig } from '../../src/config/load-config.ts'

const folder = 'deploy/kubernetes'

// biome-ignore lint/suspicious/noExplicitAny: of any kind, until its schema has seen it
type Manifest = any

const manifests: readonly { readonly file: string; readonly manifest: Manifest }[] = readdirSync(
  folder,
).flatMap((file) =>
  parseAllDocuments(readFileSync(`${folder}/${file}`, 'utf8')).map((document) => {
    if (document.errors.length > 0) throw document.errors[0]
    return { file, manifest: document.toJS() }
  }),
)

const ofKind = (kind: string): Manifest[] =>
  manifests.filter(({ manifest }) => manifest.kind === kind).map(({ manifest }) => manifest)

interface Validate {
  (manifest: Manifest): boolean
  readonly errors?: readonly { readonly instancePath: string; readonly message?: string }[]
}

const require = createRequire(import.meta.url)
const schemas = join(dirname(require.resolve('kubernetes-models')), '_schemas')

/** The published schemas, those of Kubernetes' OpenAPI document, compiled. The package's classes read every member. */
const schemaOf = (name: string): Validate => require(join(schemas, `IoK8sApi${name}.js`)).validate

const kinds: Record<string, Validate> = {
  ConfigMap: schemaOf('CoreV1ConfigMap'),
  Deployment: schemaOf('AppsV1Deployment'),
  Job: schemaOf('BatchV1Job'),
  NetworkPolicy: schemaOf('NetworkingV1NetworkPolicy'),
  PodDisruptionBudget: schemaOf('PolicyV1PodDisruptionBudget'),
  Secret: schemaOf('CoreV1Secret'),
  Service: schemaOf('CoreV1Service'),
}

/** The schemas allow any member besides those that they name: one that the validation did not read is misspelt. */
function watched(manifest: Manifest) {
  const read = new Map<object, Set<PropertyKey>>()
  const wrap = (value: Manifest): Manifest =>
    typeof value !== 'object' || value === null
      ? value
      : new Proxy(value, {
          get(target, name) {
            read.set(target, (read.get(target) ?? new Set()).add(name))
            return wrap(target[name])
          },
        })
  const unread = (value: Manifest, path: string): string[] =>
    typeof value !== 'object' || value === null
      ? []
      : Object.entries(value).flatMap(([name, member]) =>
          read.get(value)?.has(name) ? unread(member, `${path}.${name}`) : [`${path}.${name}`],
        )
  return { proxy: wrap(manifest), unread: () => unread(manifest, '') }
}

function faultsOf(manifest: Manifest): string[] {
  const validate = kinds[manifest.kind]
  if (!validate) return [`${manifest.kind} is not a kind that this test knows`]
  const { proxy, unread } = watched(manifest)
  if (validate(proxy)) return unread()
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
}

t.test('the manifests are valid by the published schemas of Kubernetes', async (t) => {
  t.same(
    Object.keys(kinds).filter((kind) => ofKind(kind).length === 0),
    [],
    'each kind is there',
  )
  for (const { file, manifest } of manifests) t.same(faultsOf(manifest), [], `${file}, ${manifest.kind}`)
})

t.test('the check finds a wrong type, a missing member and a misspelt one', async (t) => {
  const [deployment] = ofKind('Deployment')
  const changed = (change: (copy: Manifest) => void) => {
    const copy = structuredClone(deployment)
    change(copy)
    return faultsOf(copy).length
  }
  t.equal(
    changed(() => {}),
    0,
  )
  t.ok(changed(({ spec }) => Object.assign(spec, { replicas: '2' })))
  t.ok(changed(({ spec }) => delete spec.selector))
  t.ok(changed(({ spec }) => Object.assign(spec.template.spec.containers[0], { readinesProbe: {} })))
  t.ok(changed(({ spec }) => Object.assign(spec.template.spec.securityContext, { runAsNonroot: true })))
  t.ok(changed((copy) => Object.assign(copy, { sepc: {} })))
})

const templates = (): { name: string; template: IPodTemplateSpec }[] =>
  [...ofKind('Deployment'), ...ofKind('Job')].map(({ kind, spec }) => ({
    name: kind,
    template: spec.template,
  }))

t.test('pods run as a numeric user without rights, on a read-only file system, within limits', async (t) => {
  t.equal(templates().length, 2)
  const user = /^USER (\d+):(\d+)$/m.exec(readFileSync('Dockerfile', 'utf8'))
  for (const { name, template } of templates()) {
    t.match(
      template.spec,
      {
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        securityContext: {
          runAsNonRoot: true,
          runAsUser: Number(user?.[1]),
          runAsGroup: Number(user?.[2]),
          seccompProfile: { type: 'RuntimeDefault' },
        },
      },
      name,
    )
    for (const container of template.spec?.containers ?? []) {
      t.match(container, {
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
        resources: { limits: { memory: '256Mi', cpu: String }, requests: { memory: '128Mi', cpu: String } },
      })
      t.notMatch(container.image ?? '', /:latest$/)
    }
  }
})

t.test(
  'the Deployment has two instances, probes, and a pause before a SIGTERM that leaves time to drain',
  async (t) => {
    const [{ spec }] = ofKind('Deployment')
    t.ok(spec.replicas >= 2)
    t.equal(spec.strategy.rollingUpdate.maxUnavailable, 0)
    const [{ startupProbe, livenessProbe, readinessProbe, lifecycle, ports }] = spec.template.spec.containers
    for (const probe of [startupProbe, livenessProbe]) t.equal(probe.httpGet.path, '/health/live')
    t.equal(readinessProbe.httpGet.path, '/health/ready')
    const pause = Number(lifecycle.preStop.exec.command.at(-1))
    t.ok(pause >= readinessProbe.periodSeconds * readinessProbe.failureThreshold, 'the endpoint has left')
    t.ok(
      spec.template.spec.terminationGracePeriodSeconds >= pause + 15,
      'the drain takes ten seconds at most',
    )
    t.same(
      ports.map(({ containerPort }: Manifest) => String(containerPort)),
      [String(Environment.properties.PORT.default), ofKind('ConfigMap')[0].data.METRICS_PORT],
    )
  },
)

t.test('selectors select the pods of the Deployment, and not those of the Job', async (t) => {
  const [{ spec }] = ofKind('Deployment')
  const { labels } = spec.template.metadata
  const selects = (selector: Record<string, string>, labels: Record<string, string>) =>
    Object.entries(selector).every(([name, value]) => labels[name] === value)
  const selectors = [
    spec.selector.matchLabels,
    ...ofKind('Service').map((service) => service.spec.selector),
    ...ofKind('PodDisruptionBudget').map((budget) => budget.spec.selector.matchLabels),
    ...ofKind('NetworkPolicy').map((policy) => policy.spec.podSelector.matchLabels),
  ]
  t.equal(selectors.length, 5)
  const [job] = ofKind('Job')
  for (const selector of selectors) {
    t.ok(selects(selector, labels))
    t.notOk(selects(selector, job.spec.template.metadata.labels))
  }
  t.match(job.spec.template.spec, { restartPolicy: 'Never', containers: [{ args: ['migrate'] }] })
})

t.test('every variable exists, and together they are a configuration', async (t) => {
  const [config] = ofKind('ConfigMap')
  const [secret, ofMigration] = ofKind('Secret')
  const names = Object.keys({ ...config.data, ...secret.stringData, ...ofMigration.stringData })
  t.same(
    names.filter((name) => !(name in Environment.properties)),
    [],
  )
  for (const value of Object.values(config.data)) t.type(value, 'string')
  const env = { NODE_ENV: 'production', ...config.data, ...secret.stringData, SECRET_KEY: 'x1Y2'.repeat(8) }
  const loaded = loadConfig(env, () => '')
  t.equal(loaded.migrateOnStart, false)
  t.equal(loaded.metricsPort, 9464)
  const unchanged = { ...env, SECRET_KEY: secret.stringData.SECRET_KEY }
  t.throws(() => loadConfig(unchanged, () => ''), /SECRET_KEY/, 'the placeholder is refused')
})

t.test('Job and Deployment have the same version, which is in the name of the Job', async (t) => {
  const images = templates().map(({ template }) => template.spec?.containers[0]?.image)
  t.equal(images[0], images[1])
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
  t.ok(images[0]?.endsWith(`:${version}`))
  t.equal(ofKind('Job')[0].metadata.name, `latchkey-migrate-${version}`)
})
