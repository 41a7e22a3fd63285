// Renders the chart and the kustomize base and reads what comes out; no cluster is asked for anything but its opinion.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { repository } from './cluster/cache.ts';
import { theCluster } from './cluster/testing.ts';
import { dockerfile } from './install/dockerfile.ts';
import { CHART, helm, NEEDED, render, setting, type Values } from './install/helm.ts';

const cluster = await theCluster();
const KUSTOMIZE = join(repository, 'deploy', 'kustomize');
const NAMESPACE = `install-chart-${process.pid}`;

/** All that can be switched on. */
const EVERYTHING: Values = {
  ...NEEDED,
  'database.ownerUrlKey': 'owner',
  's3.existingSecret': 'purser-s3',
  's3.endpoint': 'http://s3.example:9000',
  'link.tls.existingSecret': 'purser-link',
  'image.digest': `sha256:${'0'.repeat(64)}`,
  'controlPlane.kubeconfigs.existingSecret': 'clusters',
  'controlPlane.oidc.issuer': 'https://login.example',
  'router.autoscaling.enabled': true,
  'router.maxTableAgeSeconds': 600,
  'operator.enabled': true,
  'operator.existingSecret': 'purser-operator',
  'clouds.here.kind': 'aws',
  'clouds.here.region': 'us-east-1',
  'operator.karpenter.enabled': true,
  'extender.enabled': true,
  'extender.existingSecret': 'purser-extender',
  'extender.tls.existingSecret': 'purser-extender-tls',
  'networkPolicy.apiFrom[0].podSelector.matchLabels.app': 'proxy',
  'networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.name': 'monitoring',
  'networkPolicy.routerEgressCidrs[0]': '10.8.0.0/16',
  'settings.PURSER_LOG_LEVEL': 'debug',
};

const KINDS_WITH_PODS = ['Deployment'];

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec: { readonly replicas?: number; readonly template: { readonly spec: PodSpec } };
}

interface PodSpec {
  readonly enableServiceLinks: boolean;
  readonly automountServiceAccountToken: boolean;
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly volumes: readonly { readonly name: string; readonly secret?: object }[];
  readonly containers: readonly {
    readonly image: string;
    readonly args: readonly string[];
    readonly env: readonly { readonly name: string; readonly value?: string }[];
    readonly securityContext: Readonly<Record<string, unknown>>;
    readonly ports?: readonly { readonly containerPort: number }[];
  }[];
}

/** The documents as an API server reads them. */
const read = async (yaml: string): Promise<Manifest[]> => {
  const json = await cluster.kubectlWith(yaml, 'create', '--dry-run=client', '--validate=false', '-o', 'json', '-f', '-');
  const parsed = JSON.parse(`[${json.replaceAll(/^}\n{/gm, '},{')}]`) as (Manifest & { items?: Manifest[] })[];
  return parsed.flatMap((one) => one.items ?? [one]);
};

beforeAll(async () => {
  const levels = ['enforce', 'warn'].map((mode) => [`pod-security.kubernetes.io/${mode}`, 'restricted']);
  await cluster.namespace(NAMESPACE, Object.fromEntries(levels) as Record<string, string>);
});
afterAll(() => cluster.deleteNamespace(NAMESPACE));

describe('Install: wrong values of the chart are refused with a sentence', () => {
  test.each<[string, Values, string]>([
    ['a database that is not named', { 'database.existingSecret': '' }, "at '/database/existingSecret'"],
    ['a bucket that is not named', { 's3.bucket': '' }, "at '/s3/bucket'"],
    ['tokens that are not named', { 'tokens.existingSecret': '' }, "at '/tokens/existingSecret'"],
    ['a misspelt value', { 'router.replica': 3 }, "at '/router': additional properties 'replica' not allowed"],
    ['a number that is none', { 'controlPlane.replicas': 'two' }, "at '/controlPlane/replicas': got string, want integer"],
    ['no replicas at all', { 'controlPlane.replicas': 0 }, "at '/controlPlane/replicas': minimum: got 0, want 1"],
    ['a digest that is none', { 'image.digest': 'latest' }, "at '/image/digest'"],
    ['a region without its provider', { 'controlPlane.regions[0]': 'us-east-1' }, "at '/controlPlane/regions/0'"],
    ['an address that is none', { 'router.url': 'models.example' }, "at '/router/url'"],
    ['a setting of somebody else', { 'settings.NODE_OPTIONS': '--inspect' }, "'NODE_OPTIONS' does not match pattern"],
    ['an operator without its token', { 'operator.enabled': true }, "at '/operator/existingSecret'"],
    ['an extender without its token', { 'extender.enabled': true }, "at '/extender/existingSecret'"],
    ['a prefix too long for namespaces', { namespacePrefix: 'a'.repeat(21) }, "at '/namespacePrefix': maxLength"],
    ['a link secret that is none', { 'link.tls.existingSecret': 'No Secret' }, "at '/link/tls/existingSecret'"],
    ['a certificate in a value', { 'link.tls.cert': '-----BEGIN' }, "at '/link/tls': additional properties 'cert' not allowed"],
    ['a secret in a value', { 'database.url': 'postgresql://a:b@c/d' }, "additional properties 'url' not allowed"],
  ])('%s', async (_what, values, sentence) => {
    await expect(render({ ...NEEDED, ...values })).rejects.toThrow(sentence);
  });

  test('an older Kubernetes than pods can wait in without a shell', async () => {
    await expect(render(NEEDED, ['--kube-version', '1.29.0'])).rejects.toThrow('chart requires kubeVersion: >=1.30.0');
  });
});

describe('Install: what the Helm chart makes', () => {
  test('is without a complaint of its linter', async () => {
    expect(await helm(['lint', CHART, '--strict', ...setting(NEEDED)])).toContain('0 chart(s) failed');
  });

  test('every pod is restricted, and only those that ask the API server for something have a token', async () => {
    const pods = (await read(await render(EVERYTHING))).filter(({ kind }) => KINDS_WITH_PODS.includes(kind));
    expect(pods.map(({ metadata }) => metadata.name).sort()).toEqual([
      'purser',
      'purser-extender',
      'purser-operator',
      'purser-router',
    ]);
    for (const { metadata, spec } of pods) {
      const pod = spec.template.spec;
      expect(pod.securityContext).toMatchObject({
        runAsNonRoot: true,
        runAsUser: 65532,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      expect(pod.enableServiceLinks).toBe(false);
      expect(pod.automountServiceAccountToken).toBe(metadata.name !== 'purser-router');
      for (const container of pod.containers)
        expect(container.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
    }
  });

  test('the user and the ports are those of the image', async () => {
    const { user, ports } = dockerfile();
    const pods = (await read(await render(NEEDED))).filter(({ kind }) => KINDS_WITH_PODS.includes(kind));
    const used = pods.flatMap(({ spec }) => spec.template.spec.containers.flatMap((one) => one.ports ?? []));
    expect(used.map(({ containerPort }) => containerPort).sort()).toEqual([...ports].sort());
    expect(user).toBe('65532:65532');
  });

  test('an autoscaler says how many routers there are, or the chart does, never both', async () => {
    const router = async (values: Values) =>
      (await read(await render(values))).find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'purser-router');
    expect((await router(NEEDED))?.spec.replicas).toBe(2);
    expect((await router(EVERYTHING))?.spec).not.toHaveProperty('replicas');
  });

  test('the link speaks TLS where a secret has its certificate: routers get whom to trust and not the key', async () => {
    expect(await render(NEEDED)).not.toContain('PURSER_LINK_TLS');
    const values = { ...NEEDED, 'link.tls.existingSecret': 'purser-link', 'serviceMonitor.enabled': true };
    const yaml = await render(values);
    // The definition of monitors is not on this cluster.
    const own = yaml.split(/^---$/m).filter((text) => !text.includes('kind: ServiceMonitor'));
    const link = (await read(own.join('---'))).flatMap(({ kind, metadata, spec }) => {
      if (kind !== 'Deployment') return [];
      const { containers, volumes } = spec.template.spec;
      const env = containers[0]?.env.filter(({ name }) => name.startsWith('PURSER_LINK_TLS')) ?? [];
      const secret = volumes.find(({ name }) => name === 'link-tls')?.secret;
      return [{ name: metadata.name, env: env.map(({ name, value }) => `${name}=${value ?? ''}`), secret }];
    });
    expect(link).toEqual([
      {
        name: 'purser',
        env: ['PURSER_LINK_TLS_CERT=/etc/purser/link/tls.crt', 'PURSER_LINK_TLS_KEY=/etc/purser/link/tls.key'],
        secret: { secretName: 'purser-link', defaultMode: 0o440 },
      },
      {
        name: 'purser-router',
        env: ['PURSER_LINK_TLS_CA=/etc/purser/link/ca.crt'],
        secret: { secretName: 'purser-link', items: [{ key: 'ca.crt', path: 'ca.crt' }], defaultMode: 0o440 },
      },
    ]);
    expect(yaml).toMatch(/scheme: https\n +tlsConfig:\n +ca: { secret: { name: purser-link, key: ca.crt } }\n/);
  });

  test('metrics are scraped where somebody asks for it, with the token of routers', async () => {
    expect(await render(NEEDED)).not.toContain('ServiceMonitor');
    const text = await render({ ...NEEDED, 'serviceMonitor.enabled': true });
    expect(text.match(/kind: ServiceMonitor/g)).toHaveLength(2);
    expect(text.match(/credentials: { name: purser-tokens, key: router-token }/g)).toHaveLength(2);
  });

  test.each<[string, Values]>([
    ['the least', NEEDED],
    ['everything', EVERYTHING],
  ])('the API server takes it, with %s, without a warning', async (_what, values) => {
    const yaml = await helm(['template', 'purser', CHART, '--namespace', NAMESPACE, ...setting(values)]);
    const answer = await cluster.kubectlWith(yaml, 'apply', '--dry-run=server', '--warnings-as-errors', '-f', '-');
    expect(answer).toContain('deployment.apps/purser created (server dry run)');
  });
});

describe('Install: the kustomize base', () => {
  test('is what the chart makes: deploy/kustomize/from-chart.mjs says how it is made again', async () => {
    const { filesFrom } = (await import(pathToFileURL(join(KUSTOMIZE, 'from-chart.mjs')).href)) as {
      filesFrom: (rendered: string) => ReadonlyMap<string, string>;
    };
    const rendered = await render({}, ['--include-crds', '--values', join(KUSTOMIZE, 'values.yaml')]);
    const made = filesFrom(rendered);
    expect(made.size).toBeGreaterThan(8);
    for (const [file, text] of made) expect(readFileSync(join(KUSTOMIZE, file), 'utf8'), file).toBe(text);
  });

  test('the API server takes it, without a warning', async () => {
    await cluster.namespace('purser-system');
    const yaml = await cluster.kubectl('kustomize', join(KUSTOMIZE, 'base'));
    expect(yaml).not.toContain('Helm');
    const answer = await cluster.kubectlWith(yaml, 'apply', '--dry-run=server', '--warnings-as-errors', '-f', '-');
    for (const object of ['deployment.apps/purser', 'deployment.apps/purser-router', 'namespace/purser-system'])
      expect(answer).toContain(object);
  });
});
