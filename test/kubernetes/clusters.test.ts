// Three control planes with real leases on two bare API servers, which store what they are told and run nothing: what is there after a wipe, and
// while one of the servers does not answer.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ClusterLoop } from '../../src/deployments/cluster-loop.reconciler.ts';
import { ClusterRepository } from '../../src/fleet/cluster.repository.ts';
import type { ClusterConfig } from '../../src/fleet/cluster.ts';
import type { KubernetesApi } from '../../src/kubernetes/api/kubernetes-api.ts';
import * as kinds from '../../src/kubernetes/api/resource.ts';
import { LABELS } from '../../src/kubernetes/manifests/names.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { fleetOf, makeControlPlane, makeGround, type ControlPlane, type Ground } from '../support/deployments-world.ts';
import { eventually } from '../support/eventually.ts';
import { openKubernetesCluster, type TestKubernetesCluster } from '../support/kubernetes-cluster.ts';
import { on } from '../support/spanning-world.ts';
import { startTestServer, type TestServer } from '../support/test-server.ts';
import { startBareApiServer, type BareApiServer } from './cluster/bare-api-server.ts';

const CONTROL_PLANES = 3;
const DEPLOYMENTS = ['one', 'two', 'three'];
const WAIT_MS = 60_000;
/** What stands for the workload is wiped last: secrets are watched by nobody and come back with it, where no pods are that miss them. */
const OBJECTS: readonly kinds.Resource[] = [
  kinds.SECRETS,
  kinds.SERVICES,
  kinds.POD_DISRUPTION_BUDGETS,
  kinds.KUBERNETES_DEPLOYMENTS,
];

interface Member {
  readonly name: string;
  readonly server: BareApiServer;
  readonly opened: TestKubernetesCluster;
}

let postgres: TestServer;
let db: TestDatabase;
let ground: Ground;
let plane: ControlPlane;
const members: Member[] = [];
const loops: ClusterLoop[] = [];

beforeAll(async () => {
  postgres = await startTestServer();
  db = await openTestDatabase({ socket: postgres.socketFolder });
  ground = await makeGround(db.database, 'acme');
  plane = await makeControlPlane(ground);
  for (const name of ['east', 'west']) members.push(await join(name));
}, WAIT_MS);
afterAll(async () => {
  await Promise.all(loops.map((loop) => loop.stop()));
  for (const { opened, server } of members) {
    await opened.close().catch(() => undefined);
    await server.stop();
  }
  await db.close();
  await postgres.stop();
});

/** A server that is registered, with a loop in each control plane. */
async function join(name: string): Promise<Member> {
  const server = await startBareApiServer();
  const opened = openKubernetesCluster(server);
  const config: ClusterConfig = {
    access: { kind: 'kubeconfig', file: server.kubeconfig, context: null },
    ...{ namespacePrefix: opened.installation, systemNamespace: `${opened.installation}-system` },
    modelServerImage: `registry.example/model-server@sha256:${'a'.repeat(64)}`,
    routerSources: { namespace: `${opened.installation}-system`, cidrs: [] },
  };
  const pools = [{ name: 'default', capacityType: 'on_demand' as const, offeringId: null, nodeSelector: {} }];
  const made = await fleetOf(ground).register(plane.caller, { name, kind: 'kubernetes', config, pools });
  if (!made.ok) throw new Error(made.error.message);
  for (let n = 1; n <= CONTROL_PLANES; n += 1) {
    const { random } = ground;
    const deps = plane.depsOf(made.value.clusterId, opened.another());
    loops.push(new ClusterLoop({ ...deps, random, holder: `${name} ${n}` }));
    loops.at(-1)?.start();
  }
  return { name, server, opened };
}

const wakeAll = (): void => loops.forEach((loop) => loop.wake());

/** Workloads' objects on a server, by kind and name, with what was told; uids are not compared. */
async function objectsOf(api: KubernetesApi): Promise<string[]> {
  const all = await Promise.all(
    OBJECTS.map(async (kind) =>
      (await api.list(kind, { labelSelector: LABELS.workload })).items.map(({ metadata }) =>
        [kind.plural, metadata.namespace, metadata.name, metadata.annotations?.['purser.dev/spec-hash'] ?? ''].join(' '),
      ),
    ),
  );
  return all.flat().sort();
}

async function wipe(api: KubernetesApi): Promise<void> {
  for (const kind of OBJECTS)
    for (const { metadata } of (await api.list(kind, { labelSelector: LABELS.workload })).items) await api.delete(kind, metadata);
}

const reachable = async (name: string) => {
  const row = await db.database.read({ kind: 'reconciler', loop: 'test' }, (tx) => new ClusterRepository().cluster(tx, { name }));
  return row?.conditions.find(({ type }) => type === 'Reachable')?.status;
};

describe('Rebuild: three control planes at once on two clusters', () => {
  test(
    'put a spanning deployment on both, and bring every object back after a wipe, once and as it was',
    { timeout: 240_000 },
    async () => {
      for (const name of DEPLOYMENTS)
        expect(await plane.deploy(1, { name, replicas: 3, ...on(['east', 2], ['west', 1]) })).toMatchObject({ ok: true });
      wakeAll();
      const before = await Promise.all(
        members.map(({ opened }) =>
          eventually(async () => {
            const found = await objectsOf(opened.api);
            return found.length === DEPLOYMENTS.length * OBJECTS.length && found;
          }, WAIT_MS),
        ),
      );
      await Promise.all(members.map(({ opened }) => wipe(opened.api)));
      await eventually(async () => {
        const after = await Promise.all(members.map(({ opened }) => objectsOf(opened.api)));
        expect(after).toEqual(before);
      }, WAIT_MS);
    },
  );

  test(
    'say that a server which does not answer cannot be seen, leave it alone, and go on when it is back',
    { timeout: 240_000 },
    async () => {
      const [east, west] = [members[0]!, members[1]!];
      const before = await objectsOf(west.opened.api);
      await west.server.stopServing();
      await eventually(async () => {
        ground.clock.advance(1_000);
        wakeAll();
        expect(await reachable('west')).toBe('False');
      }, WAIT_MS);
      expect(await reachable('east')).toBe('True');
      expect(await objectsOf(east.opened.api)).toHaveLength(DEPLOYMENTS.length * OBJECTS.length);
      await west.server.startServing();
      await eventually(async () => {
        wakeAll();
        expect(await reachable('west')).toBe('True');
      }, WAIT_MS);
      expect(await objectsOf(west.opened.api)).toEqual(before);
    },
  );
});
