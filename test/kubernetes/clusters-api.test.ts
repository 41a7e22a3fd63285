// Two API servers as somebody sees them who has only the API and the command line: registered by kubeconfig, changed, rebuilt, held back and
// removed while the same control plane runs on. Nodes are pretended: pods are called ready, and nothing answers there.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../clients/cli/exit-codes.ts';
import { openClusters } from '../../src/main/open-cluster.ts';
import { systemClock, systemRandom } from '../../src/main/system-clock.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { openCli, type TestCli } from '../support/cli.ts';
import { openTestDatabase } from '../support/database.ts';
import { makeGround, rows } from '../support/deployments-world.ts';
import { eventually } from '../support/eventually.ts';
import { quietLogger } from '../support/quiet-logger.ts';
import { startTestServer, type TestServer } from '../support/test-server.ts';
import type { ApiObject } from './cluster/api.ts';
import { startBareApiServer, type BareApiServer } from './cluster/bare-api-server.ts';

const PREFIX = `api-${process.pid}`;
const NAMESPACE = `${PREFIX}-acme`;
const IMAGE = `registry.example/model-server@sha256:${'a'.repeat(64)}`;
const NEWER = IMAGE.replace(/a{64}/, 'b'.repeat(64));
const SOON_MS = 60_000;
const OBJECTS = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`;

let api: TestApi;
let cli: TestCli;
let first: BareApiServer;
let second: BareApiServer;
let postgres: TestServer;

beforeAll(async () => {
  [first, second, postgres] = await Promise.all([
    startBareApiServer({ pretendedNodes: 1 }),
    startBareApiServer(),
    startTestServer(),
  ]);
  const openCluster = openClusters({ clock: systemClock, random: systemRandom, logger: quietLogger });
  api = await startApi({ openCluster, db: await openTestDatabase({ socket: postgres.socketFolder }) });
  cli = openCli({ PURSER_URL: api.url, PURSER_TOKEN: api.adminToken });
  await makeGround(api.db.database, 'acme');
});
afterAll(async () => {
  cli.close();
  await api.close();
  await Promise.all([first.stop(), second.stop(), postgres.stop()]);
});

interface DeploymentFields {
  readonly metadata: {
    readonly uid: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly spec: { readonly template: { readonly spec: { readonly containers: readonly { readonly image: string }[] } } };
}
type DeploymentObject = ApiObject & DeploymentFields;
const objectsOn = async (server: BareApiServer) => (await server.api.list(OBJECTS)) as DeploymentObject[];
const workloadsOn = async (server: BareApiServer) =>
  (await objectsOn(server)).map(({ metadata }) => metadata.labels['purser.dev/workload']).sort();

interface Shown {
  readonly status: {
    readonly conditions: readonly { readonly type: string; readonly status: string; readonly reason: string }[];
  };
  readonly heldRemovals: { readonly digest: string; readonly count: number } | null;
  readonly nodes: readonly { readonly name: string; readonly readiness: string }[];
}
const show = () => cli.json<Shown>('clusters', 'show', 'east');
const condition = async (type: string) => (await show()).status.conditions.find((one) => one.type === type);

/** A workload of this installation that its database never heard of, like one that it knows. */
async function plant(server: BareApiServer, like: DeploymentObject): Promise<void> {
  const [old, id] = [like.metadata.labels['purser.dev/workload'] ?? '', randomUUID()];
  const text = JSON.stringify({ ...like, status: undefined }).replaceAll(old, id);
  const { metadata, ...rest } = JSON.parse(text) as DeploymentObject;
  const { labels, annotations } = metadata;
  await server.api.create(OBJECTS, { ...rest, metadata: { name: `stranger-${id.slice(0, 8)}`, labels, annotations } });
}

describe('Several clusters: by API and command line, on two real API servers', () => {
  test(
    'one is registered by kubeconfig and seen, with its nodes; what is deployed there gets ready',
    { timeout: 2 * SOON_MS },
    async () => {
      const how = ['--kubeconfig', first.kubeconfig, '--prefix', PREFIX, '--system-namespace', `${PREFIX}-system`];
      await cli.json('clusters', 'register', 'east', ...how, '--model-server-image', IMAGE);
      await eventually(async () => expect(await condition('Reachable')).toMatchObject({ status: 'True' }), SOON_MS);
      await eventually(async () => expect((await show()).nodes).toMatchObject([{ readiness: 'READY' }]), SOON_MS);
      const deploy = ['deploy', 'acme/demo/digits', '--model-version', '1', '--replicas', '1', '--cluster', 'east'];
      expect(await cli.run([...deploy, '--wait', '--timeout', '60'])).toMatchObject({ code: EXIT.OK });
      expect(await objectsOn(first)).toHaveLength(1);
    },
  );

  test('a rebuild tells it all again and makes nothing twice', async () => {
    const [before] = await objectsOn(first);
    expect(await cli.json('clusters', 'rebuild', 'east', '--plan')).toMatchObject({ actions: [{ kind: 'KEEP' }] });
    expect(await cli.json('clusters', 'rebuild', 'east')).toMatchObject({ actions: [{ kind: 'KEEP' }] });
    await eventually(async () => {
      const [row] = await rows<{ rebuilt: number }>(api.db.database, `select rebuilt from cluster where name = 'east'`);
      expect(row?.rebuilt).toBe(1);
    });
    expect((await objectsOn(first)).map(({ metadata }) => metadata.uid)).toEqual([before?.metadata.uid]);
  });

  test('another image reaches what runs', { timeout: 2 * SOON_MS }, async () => {
    const images = async () =>
      (await objectsOn(first)).flatMap(({ spec }) => spec.template.spec.containers.map(({ image }) => image));
    expect(await images()).toEqual([IMAGE]);
    await cli.json('clusters', 'update', 'east', '--model-server-image', NEWER);
    await eventually(async () => expect(await images()).toEqual([NEWER]), SOON_MS);
  });

  test(
    'another kubeconfig is another server that gets it all; the four strangers there wait for a person, and go when these are approved',
    { timeout: 2 * SOON_MS },
    async () => {
      const own = await workloadsOn(first);
      const [like] = await objectsOn(first);
      const { metadata } = await first.api.get<DeploymentObject>(`/api/v1/namespaces/${NAMESPACE}`);
      await second.namespace(NAMESPACE, metadata.labels);
      for (let n = 0; n < 4; n += 1) await plant(second, like!);
      await cli.json('clusters', 'update', 'east', '--kubeconfig', second.kubeconfig);
      await eventually(async () => expect(await condition('RemovalsHeld')).toMatchObject({ status: 'True' }), SOON_MS);
      await eventually(async () => expect(await workloadsOn(second)).toHaveLength(5), SOON_MS);
      const { heldRemovals } = await show();
      expect(heldRemovals?.count).toBe(4);
      const { actions } = await cli.json<{ actions: { kind: string }[] }>('clusters', 'rebuild', 'east', '--plan');
      expect(actions.map(({ kind }) => kind)).toEqual(['KEEP', 'HOLD', 'HOLD', 'HOLD', 'HOLD']);
      await cli.json('clusters', 'approve-removals', 'east', heldRemovals?.digest ?? '');
      await eventually(async () => expect(await workloadsOn(second)).toEqual(own), SOON_MS);
    },
  );

  test('removed once nothing is left there: its loop ends, and nothing there is touched', { timeout: 2 * SOON_MS }, async () => {
    expect((await cli.run(['clusters', 'remove', 'east'])).stderr).toContain('1 workload is still there or wished there.');
    await cli.run(['delete', 'acme/demo/digits']);
    await eventually(async () => expect(await cli.json('get')).toEqual([]), SOON_MS);
    await cli.json('clusters', 'remove', 'east');
    await eventually(() => expect(api.clusters.size).toBe(0));
    expect(await objectsOn(first)).toHaveLength(1);
    expect(await objectsOn(second)).toHaveLength(0);
  });
});
