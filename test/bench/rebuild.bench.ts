// A whole Purser before three API servers of this machine (no nodes): 600 workloads are wished for, single wishes are changed, then everything
// is wiped from the clusters and comes back from the database.
import { once } from 'node:events';
import { KubernetesApi } from '../../src/kubernetes/api/kubernetes-api.ts';
import type { KubernetesDeployment } from '../../src/kubernetes/api/objects.ts';
import type { RawObject, WatchEvent } from '../../src/kubernetes/api/watch-event.ts';
import { LABELS } from '../../src/kubernetes/manifests/names.ts';
import { KUBERNETES_DEPLOYMENTS, POD_DISRUPTION_BUDGETS, SERVICES, type Resource } from '../../src/kubernetes/api/resource.ts';
import { makeClient } from '../../src/persistence/connection.ts';
import { startBareApiServer, type BareApiServer } from '../kubernetes/cluster/bare-api-server.ts';
import { eventually } from '../support/eventually.ts';
import { startInstallation, type Installation } from '../support/installation.ts';
import { change, databaseUrl } from '../support/live-system.ts';
import { clock, random } from '../support/kubernetes-world.ts';
import type { BenchRow } from './bench-row.ts';

const CLUSTERS = ['east', 'north', 'west'] as const;
const PER_CLUSTER = 200;
/** Single changes that are timed. */
const CHANGES = 31;
/** Wishes made at a time. */
const AT_ONCE = 4;
const NAMESPACE = 'purser-example';
const PROJECT = { path: 'example/demo' };
const IMAGE = `images.example/web@sha256:${'0'.repeat(64)}`;
const WAIT_MS = 300_000;

interface Place {
  readonly name: string;
  readonly server: BareApiServer;
  readonly api: KubernetesApi;
}

export async function run(): Promise<readonly BenchRow[]> {
  const [purser, ...servers] = await Promise.all([startInstallation(), ...CLUSTERS.map(() => startBareApiServer())]);
  const places = servers.map((server, n) => ({
    name: CLUSTERS[n] ?? '',
    server,
    api: KubernetesApi.of({ kind: 'kubeconfig_file', file: server.kubeconfig, context: null }, { clock, random }),
  }));
  try {
    await register(purser, places);
    const filled = await timed(async () => {
      await wishAll(purser);
      await untilAllThere(places);
    });
    const changes = await changeSome(purser, places);
    await wipe(places);
    const rebuilt = await timed(() => untilAllThere(places));
    const all = PER_CLUSTER * CLUSTERS.length;
    return [
      { name: `${all} wishes made through the API and applied on ${CLUSTERS.length} clusters`, value: filled, unit: 's' },
      { name: `change in the database → object applied, p50 of ${CHANGES}`, value: changes, unit: 'ms', goal: '≤ 100' },
      { name: `rebuild of ${all} wiped workloads over ${CLUSTERS.length} clusters`, value: rebuilt, unit: 's', goal: '≤ 60' },
    ];
  } finally {
    await purser.remove();
    for (const { api, server } of places) {
      await api.close();
      await server.stop();
    }
  }
}

const timed = async (body: () => Promise<unknown>): Promise<string> => {
  const began = performance.now();
  await body();
  return ((performance.now() - began) / 1000).toFixed(1);
};

const REGISTER = `mutation ($input: RegisterClusterInput!) { registerCluster(input: $input) { cluster { id } userErrors { code message } } }`;
const MODEL = `mutation ($input: RegisterModelInput!) { registerModel(input: $input) { model { id } userErrors { code message } } }`;
const VERSION = `mutation ($input: RegisterModelVersionInput!) { registerModelVersion(input: $input) { modelVersion { id } userErrors { code message } } }`;
const DEPLOY = `mutation ($input: DeployInput!) { deploy(input: $input) { deployment { id } userErrors { code message } } }`;

async function register(purser: Installation, places: readonly Place[]): Promise<void> {
  for (const { name, server } of places)
    await change(purser, REGISTER, { input: { name, access: { kubeconfig: { file: server.kubeconfig } } } });
  await change(purser, MODEL, { input: { project: PROJECT, name: 'web' } });
  const resources = { cpuMilli: 50, memoryMib: 64 };
  await change(purser, VERSION, { input: { model: { path: 'example/demo/web' }, container: { image: IMAGE }, resources } });
}

/** A throttled caller comes again. */
const wish = (purser: Installation, cluster: string, n: number, replicas: number): Promise<unknown> =>
  eventually(
    () =>
      change(purser, DEPLOY, {
        input: { project: PROJECT, name: nameOf(cluster, n), model: 'web', replicas, clusters: [{ cluster }] },
      }),
    WAIT_MS,
  );

const nameOf = (cluster: string, n: number): string => `${cluster}-${n}`;

async function wishAll(purser: Installation): Promise<void> {
  const wishes = CLUSTERS.flatMap((cluster) => Array.from({ length: PER_CLUSTER }, (_, n) => [cluster, n] as const));
  const callers = Array.from({ length: AT_ONCE }, async () => {
    for (let next = wishes.pop(); next; next = wishes.pop()) await wish(purser, ...next, 1);
  });
  await Promise.all(callers);
}

const KINDS: readonly Resource[] = [KUBERNETES_DEPLOYMENTS, SERVICES, POD_DISRUPTION_BUDGETS];
const selection = { namespace: NAMESPACE, labelSelector: 'app.kubernetes.io/managed-by=purser' };

const untilAllThere = (places: readonly Place[]): Promise<unknown> =>
  eventually(async () => {
    const counts = await Promise.all(
      places.flatMap(({ api }) => KINDS.map(async (kind) => (await api.list(kind, selection)).items.length)),
    );
    return counts.every((count) => count === PER_CLUSTER);
  }, WAIT_MS);

/** From the first word of the database after a wish, which comes with its commit, to the first word of the API server about the object. */
async function changeSome(purser: Installation, [place]: readonly Place[]): Promise<string> {
  if (!place) throw new Error('there is no cluster');
  const watching = new AbortController();
  const scaled = new ScaledAt();
  const watched = scaled.watch(place.api, watching.signal);
  const database = makeClient(databaseUrl(purser), 'purser bench');
  await database.connect();
  await database.query('listen purser_events');
  const times: number[] = [];
  for (let n = 0; n < CHANGES; n += 1) {
    const committed = once(database, 'notification').then(() => performance.now());
    await wish(purser, place.name, n, 2);
    const applied = await eventually(() => scaled.times.get(nameOf(place.name, n)) ?? false, WAIT_MS);
    times.push(applied - (await committed));
  }
  watching.abort();
  await Promise.all([watched, database.end()]);
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)]?.toFixed(0) ?? '';
}

/** When KubernetesDeployments came to two replicas, by the name of their deployment. */
class ScaledAt {
  readonly times = new Map<string, number>();

  async watch(api: KubernetesApi, signal: AbortSignal): Promise<void> {
    const { resourceVersion } = await api.list(KUBERNETES_DEPLOYMENTS, selection);
    const options = { ...selection, resourceVersion, timeoutSeconds: WAIT_MS / 1000, silenceMs: WAIT_MS, signal };
    try {
      for await (const events of api.watch(KUBERNETES_DEPLOYMENTS, options)) for (const event of events) this.#hear(event);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  #hear(event: WatchEvent): void {
    if (event.type === 'BOOKMARK') return;
    const { metadata, spec } = event.object as RawObject & KubernetesDeployment;
    const name = metadata.labels?.[LABELS.deployment] ?? '';
    if (spec?.replicas === 2 && !this.times.has(name)) this.times.set(name, performance.now());
  }
}

const wipe = (places: readonly Place[]): Promise<unknown> =>
  Promise.all(
    places.map(async ({ server }) => {
      for (const path of ['apis/apps/v1', 'apis/policy/v1'])
        await server.api.delete(
          `/${path}/namespaces/${NAMESPACE}/${path.includes('apps') ? 'deployments' : 'poddisruptionbudgets'}`,
        );
      await server.api.delete(`/api/v1/namespaces/${NAMESPACE}/services`);
    }),
  );
