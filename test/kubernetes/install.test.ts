// Installs the chart on the run's cluster, with the image of this build, PostgreSQL and S3 outside, and looks at it from outside.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { inferBody, runDemo } from '../../clients/cli/demo.ts';
import { artifactFile } from '../../clients/typescript/artifact-file.ts';
import { digestOf } from '../../src/kernel/digest.ts';
import { eventually } from '../support/eventually.ts';
import { Load } from '../support/load.ts';
import { hasS3Server } from '../support/s3-server.ts';
import { repository } from './cluster/cache.ts';
import { theCluster } from './cluster/testing.ts';
import { CHART, type Values } from './install/helm.ts';
import { Follower } from './install/follower.ts';
import { Installation, LINK, SOON_MS, Surroundings } from './install/installation.ts';
import { PRODUCT_IMAGE, productImage, type ProductImage } from './install/product-image.ts';

const cluster = await theCluster();
const NAMESPACE = `install-${process.pid}`;
/** Of namespaces of teams. */
const PREFIX = `in-${process.pid}`;

describe.runIf(cluster.has('nodes') && hasS3Server())('Install: by the chart on a real cluster', () => {
  let surroundings: Surroundings;
  let installation: Installation;

  let image: ProductImage;
  let newer: ProductImage;
  const begun = Date.now();
  const values = ({ digest }: ProductImage): Values => ({
    'image.digest': digest,
    namespacePrefix: PREFIX,
    'operator.enabled': true,
    // The certificate is for the Service's name as pods of its namespace say it.
    'link.tls.existingSecret': 'purser-link',
    'router.linkHost': 'purser',
  });

  beforeAll(async () => {
    image = await productImage('installed');
    newer = await image.again('newer');
    for (const one of [image, newer]) await cluster.control.importImage(one);
    surroundings = await Surroundings.start(cluster);
    installation = new Installation({ cluster, surroundings, namespace: NAMESPACE });
    await installation.prepare();
    await cluster.kubectl('apply', '-f', join(CHART, 'crds'));
    await installation.apply(values(image));
    await installation.settled();
  });

  afterAll(async () => {
    await installation.remove();
    await cluster.deleteNamespace(`${PREFIX}-example`);
    await surroundings.stop();
    image.remove();
  });

  const answer = async (url: string, token: string | null): Promise<number> => {
    const headers = token === null ? {} : { authorization: `Bearer ${token}` };
    return (await fetch(url, { headers })).status;
  };

  test('two control planes and two routers are ready, and none was started twice', async () => {
    for (const component of ['control-plane', 'router'] as const) {
      const pods = await installation.pods(component);
      expect(pods.map(({ ready, restarts }) => [ready, restarts])).toEqual([
        [true, 0],
        [true, 0],
      ]);
    }
  });

  test('each answers by itself; the administrator has the token of the secret', async () => {
    for (const { address } of await installation.pods('control-plane')) {
      const client = await installation.client(`http://${address}:4000`);
      expect(await client.request('{ viewer { principal { name } } }')).toEqual({ viewer: { principal: { name: 'admin' } } });
    }
  });

  test('the link between routers and control planes speaks TLS alone, and each router has its table by it', async () => {
    for (const { address } of await installation.pods('control-plane')) {
      await expect(answer(`http://${address}:4001/metrics`, installation.routerToken)).rejects.toThrow('fetch failed');
      await expect(overLink(address, installation.routerToken, null)).rejects.toThrow('self-signed certificate');
    }
    for (const { address } of await installation.pods('router'))
      expect(await answer(`http://${address}:8080/-/readyz`, null)).toBe(200);
  });

  test('metrics answer who has the routers’ token', async () => {
    const { routerToken } = installation;
    for (const { address } of await installation.pods('control-plane')) {
      expect(await overLink(address, routerToken)).toBe(200);
      expect(await overLink(address, null)).toBe(401);
    }
    for (const { address } of await installation.pods('router')) {
      expect(await answer(`http://${address}:8080/-/metrics`, routerToken)).toBe(200);
      expect(await answer(`http://${address}:8080/-/metrics`, null)).toBe(404);
    }
  });

  test('an artifact that one of them took is read from the other', async () => {
    const [one, other] = await Promise.all(
      (await installation.pods('control-plane')).map(({ address }) => installation.client(`http://${address}:4000`)),
    );
    await one!.request('mutation { createTeam(input: { name: "shared" }) { userErrors { message } } }');
    await one!.request('mutation { createProject(input: { team: { path: "shared" }, name: "p" }) { userErrors { message } } }');
    const model = await artifactFile(join(repository, 'deploy', 'example', 'digits', 'digits.onnx'));
    await one!.uploadArtifact('shared/p', model);
    const headers = { authorization: `Bearer ${installation.adminToken}` };
    const read = await fetch(`${other!.url}/projects/shared/p/artifacts/${model.digest}`, { headers });
    expect([read.status, digestOf(await read.bytes())]).toEqual([200, model.digest]);
  });

  test(
    'each loop has one leader; when its pod goes, another leads at once',
    async () => {
      const before = await eventually(async () => {
        const leaders = await installation.leaders();
        return leaders.has('costs') && leaders;
      }, SOON_MS);
      const seen = new Set([before.get('costs')]);
      for (const { name } of await installation.pods('control-plane')) {
        await installation.deletePod(name);
        const leader = await eventually(async () => (await installation.leaders()).get('costs') ?? false, SOON_MS);
        seen.add(leader);
        await installation.settled();
      }
      // Whichever led, it is gone; whoever did not lead has taken nothing away by going.
      expect(seen.size).toBeGreaterThan(1);
      expect(seen.size).toBeLessThanOrEqual(3);
      expect((await installation.leaders()).get('costs')).not.toBe(before.get('costs'));
    },
    2 * SOON_MS,
  );

  test(
    'the cluster that it is installed on runs the example model, with the rights of the chart and no others',
    async () => {
      const client = await installation.client();
      const register = `mutation ($input: RegisterClusterInput!) { registerCluster(input: $input) { userErrors { message } } }`;
      const input = {
        name: 'here',
        access: { inCluster: true },
        namespacePrefix: PREFIX,
        systemNamespace: NAMESPACE,
        modelServerImage: image.pinned,
      };
      expect(await client.request(register, { input })).toEqual({ registerCluster: { userErrors: [] } });
      const folder = join(repository, 'deploy', 'example', 'digits');
      const routerUrl = await installation.serviceUrl('purser-router', 8080);
      const { answers } = await runDemo(client, { folder, routerUrl, timeoutMs: SOON_MS });
      expect(answers.map(({ predicted, expected }) => predicted === expected)).toEqual(Array(5).fill(true));
    },
    2 * SOON_MS,
  );

  test(
    'with the operator an object of the cluster is a deployment, and the object says how it is',
    async () => {
      const namespace = await cluster.namespace(`${NAMESPACE}-shop`, { 'purser.dev/team': 'example' });
      onTestFinished(() => cluster.deleteNamespace(namespace));
      const objects = `/apis/purser.dev/v1alpha1/namespaces/${namespace}/modeldeployments`;
      const metadata = { name: 'kept-in-git' };
      const spec = { project: 'example/demo', model: 'digits', replicas: 1 };
      await cluster.api.create(objects, { apiVersion: 'purser.dev/v1alpha1', kind: 'ModelDeployment', metadata, spec });
      await cluster.kubectl('wait', '-n', namespace, 'modeldeployment/kept-in-git', '--for=condition=Ready', '--timeout=110s');
      await cluster.kubectl('delete', '-n', namespace, 'modeldeployment/kept-in-git', '--timeout=60s');
    },
    2 * SOON_MS,
  );

  test.runIf(cluster.has('audit'))('nothing that was asked of the API server was refused', () => {
    const mine = (user: string): boolean => user.startsWith(`system:serviceaccount:${NAMESPACE}:`);
    const asked = cluster.auditLog(begun).filter(({ user }) => mine(user));
    const accounts = [...new Set(asked.map(({ user }) => user.split(':')[3]))];
    expect(accounts.sort()).toEqual(['purser', 'purser-operator']);
    expect(asked.filter(({ code }) => code === 403).map(({ verb, url }) => `${verb} ${url}`)).toEqual([]);
  });

  test(
    'a rolling upgrade of control planes and routers under load loses no request and no event',
    async () => {
      const [url, routerUrl] = await Promise.all([
        installation.serviceUrl('purser', 4000),
        installation.serviceUrl('purser-router', 8080),
      ]);
      const headers = { authorization: `Bearer ${installation.adminToken}`, 'content-type': 'application/json' };
      const [example] = JSON.parse(
        readFileSync(join(repository, 'deploy', 'example', 'digits', 'cases.json'), 'utf8'),
      ) as DemoCase[];
      const infer = JSON.stringify(inferBody(example?.input ?? []));
      const follower = new Follower(await installation.client());
      await eventually(() => follower.start !== null);
      const models = new Load(`${routerUrl}/example/demo/digits/v2/models/digits/infer`, headers, 4, infer);
      const questions = new Load(`${url}/graphql`, headers, 2, JSON.stringify({ query: '{ viewer { principal { name } } }' }));
      const changes = new Changes(installation);
      await installation.apply(values(newer));
      await installation.settled();
      // Those that left were still answering when the last new one was ready.
      await eventually(async () => (await installation.leaving()) === 0, SOON_MS);
      for (const part of [models, questions, changes]) await part.stop();
      for (const component of ['control-plane', 'router'] as const)
        expect((await installation.pods(component)).map((pod) => pod.image)).toEqual([newer.pinned, newer.pinned]);
      expect(models.failed).toEqual([]);
      expect(questions.failed).toEqual([]);
      expect(changes.failures).toEqual([]);
      expect(Math.min(models.answers.length, questions.answers.length, changes.made.length)).toBeGreaterThan(50);
      expect(await changes.found()).toEqual(changes.made);
      const happened = await follower.happened();
      await eventually(() => follower.seen.length >= happened.length);
      await follower.stop();
      // Whichever pod it began with is gone.
      expect(follower.gaps).toEqual([]);
      expect(follower.seen.slice(0, happened.length)).toEqual(happened);
      expect(happened.length).toBeGreaterThanOrEqual(changes.made.length);
    },
    3 * SOON_MS,
  );

  test(
    'the kustomize base, with an overlay that says whose it is, serves the same API; deleted, it leaves nothing of its own',
    async () => {
      const other = new Installation({ cluster, surroundings, namespace: `${NAMESPACE}-k` });
      const overlay = mkdtempSync(join(tmpdir(), 'purser-overlay-'));
      onTestFinished(async () => {
        await cluster.deleteNamespace(other.namespace);
        rmSync(overlay, { recursive: true });
      });
      await other.prepare();
      writeFileSync(join(overlay, 'kustomization.yaml'), JSON.stringify(overlayOf(overlay, other, image)));
      await cluster.kubectl('apply', '--kustomize', overlay);
      await other.settled();
      const client = await other.client();
      expect(await client.request('{ viewer { principal { name } } }')).toEqual({ viewer: { principal: { name: 'admin' } } });
      for (const component of ['control-plane', 'router'] as const)
        expect((await other.pods(component)).map((pod) => [pod.ready, pod.image])).toEqual([[true, image.pinned]]);
      const yaml = await cluster.kubectl('kustomize', overlay);
      // The definition belongs to everybody on the cluster.
      const own = yaml.split(/^---$/m).filter((text) => !text.includes('kind: CustomResourceDefinition'));
      await cluster.kubectlWith(own.join('---'), 'delete', '--wait=false', '-f', '-');
      await expect(cluster.kubectl('get', 'clusterrole', `${other.namespace}:purser`)).rejects.toThrow('not found');
    },
    3 * SOON_MS,
  );
});

/** What the link of a control plane answers to one who trusts this certificate; null = what everybody trusts. */
function overLink(host: string, token: string | null, ca: string | null = LINK['ca.crt']): Promise<number> {
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  const trust = ca === null ? {} : { ca };
  return new Promise((resolve, reject) => {
    get({ host, port: 4001, path: '/metrics', servername: 'purser', agent: false, headers, ...trust }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    }).on('error', reject);
  });
}

/** As somebody writes it who keeps two installations on one cluster. */
function overlayOf(folder: string, { namespace, values }: Installation, { digest }: ProductImage): object {
  const changed = { name: 'purser', namespace: 'purser-system' };
  const settings = {
    PURSER_S3_ENDPOINT: values['s3.endpoint'],
    PURSER_S3_BUCKET: values['s3.bucket'],
    PURSER_S3_REGION: values['s3.region'],
    PURSER_API_URL: `http://purser.${namespace}.svc:4000`,
    PURSER_ROUTER_URL: `http://purser-router.${namespace}.svc:8080`,
  };
  const replace = (...paths: string[]) => paths.map((path) => ({ op: 'replace', path, value: `${namespace}:purser` }));
  const linked = { name: 'PURSER_LINK_HOST', value: `purser.${namespace}.svc` };
  const container = (name: string, env: object[] = []) => ({ name, env, resources: { requests: { cpu: '20m' } } });
  const deployment = (name: string, one: object) => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { ...changed, name },
    spec: { template: { spec: { containers: [one] } } },
  });
  return {
    namespace,
    resources: [relative(folder, join(repository, 'deploy', 'kustomize', 'base'))],
    images: [{ name: 'purser', newName: PRODUCT_IMAGE, digest }],
    replicas: ['purser', 'purser-router'].map((name) => ({ name, count: 1 })),
    patches: [
      { patch: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: changed, data: settings }) },
      { patch: JSON.stringify(deployment('purser', container('control-plane'))) },
      { patch: JSON.stringify(deployment('purser-router', container('router', [linked]))) },
      { target: { kind: 'ClusterRole' }, patch: JSON.stringify(replace('/metadata/name')) },
      { target: { kind: 'ClusterRoleBinding' }, patch: JSON.stringify(replace('/metadata/name', '/roleRef/name')) },
    ],
  };
}

interface DemoCase {
  readonly input: readonly number[];
}

/** Makes one project after the other, as a client that keeps its connection does. */
class Changes {
  readonly made: string[] = [];
  readonly failures: string[] = [];
  readonly #installation: Installation;
  readonly #ended: Promise<void>;
  #stopped = false;

  constructor(installation: Installation) {
    this.#installation = installation;
    this.#ended = this.#change();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#ended;
  }

  /** Names of what is there now, in the order of their making. */
  async found(): Promise<string[]> {
    const { rows } = await this.#installation.query<{ name: string }>(
      `select name from project where name like 'change-%' order by id`,
    );
    return rows.map(({ name }) => name);
  }

  async #change(): Promise<void> {
    const client = await this.#installation.client();
    const make = `mutation ($name: String!) { createProject(input: { team: { path: "shared" }, name: $name }) { userErrors { message } } }`;
    for (let n = 0; !this.#stopped; n += 1) {
      const name = `change-${n}`;
      const answer = await client.request(make, { name }).catch((error: unknown) => String(error));
      if (JSON.stringify(answer) === '{"createProject":{"userErrors":[]}}') this.made.push(name);
      else this.failures.push(`${name}: ${JSON.stringify(answer)}`);
    }
  }
}
