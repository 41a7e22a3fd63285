// The loop of nodes on a real database, over an inventory and a market that are told what to show: rows, events, refusals, unknown answers.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SimulatedCloud } from '../../src/clouds/simulated/simulated-cloud.adapter.ts';
import { DecisionRepository } from '../../src/decisions/decision.repository.ts';
import { DecisionsService } from '../../src/decisions/decisions.service.ts';
import { ClusterUseRepository } from '../../src/deployments/cluster-use.repository.ts';
import {
  InventoryUnreachable,
  type ClusterInventory,
  type InventoryObservation,
  type NodeActions,
  type ObservedNode,
  type WaitingPod,
} from '../../src/fleet/cluster-inventory.port.ts';
import { CapacityRepository } from '../../src/fleet/capacity.repository.ts';
import { ClusterRepository } from '../../src/fleet/cluster.repository.ts';
import type { Pool } from '../../src/fleet/cluster.ts';
import type { ClusterNode } from '../../src/fleet/node.ts';
import { FleetService } from '../../src/fleet/fleet.service.ts';
import { NodeRepository } from '../../src/fleet/node.repository.ts';
import { NodesReconciler } from '../../src/fleet/nodes.reconciler.ts';
import { NodesService, type NodesDeps } from '../../src/fleet/nodes.service.ts';
import { POOL_PACE } from '../../src/fleet/plan-pools.ts';
import { VELOCITY_LIMITS } from '../../src/fleet/velocity-breaker.ts';
import type { Id } from '../../src/kernel/id.ts';
import { Commands } from '../../src/persistence/commands.ts';
import { acquireLease, renewLease, type Lease } from '../../src/persistence/lease.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import type { PriceRow } from '../../src/pricing/price-book.ts';
import { principalOf, seededRandom } from '../support/actors.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { node, notice, pod, uid } from '../support/nodes.ts';
import { quietLogger } from '../support/quiet-logger.ts';

const SYSTEM = { kind: 'reconciler', loop: 'test' } as const;
const admin = { principal: principalOf('platform_admin', null), idempotencyKey: null };
let now = 1_800_000_000_000;
const clock = { now: () => now };
const store = new NodeRepository();
const clusters = new ClusterRepository();
const capacity = new CapacityRepository();
const CLUSTER = uid(80);
const POOL: Pool = {
  ...{ id: uid(90), clusterId: CLUSTER, name: 'burst', capacityType: 'spot', offeringId: null },
  ...{ nodeSelector: {}, version: 1, createdAt: 0, removedAt: null },
};

let db: TestDatabase;
let lease: Lease;
let market: SimulatedCloud;
let reconciler: NodesReconciler;
let decisions: DecisionsService;
let shown: Omit<InventoryObservation, 'observedAt'> | null = { nodes: [], waiting: [] };
let done: string[] = [];

const inventory: ClusterInventory = {
  observeNodes: () =>
    shown ? Promise.resolve({ observedAt: now, ...shown }) : Promise.reject(new InventoryUnreachable('it cannot be seen')),
  usage: () => Promise.resolve([]),
  changed: () => Promise.resolve(),
};
const did = (what: string) => (thing: { readonly name: string }) => {
  done.push(`${what} ${thing.name}`);
  return Promise.resolve();
};
const actions: NodeActions = {
  cordon: did('cordon'),
  uncordon: did('uncordon'),
  announce: did('announce'),
  retire: did('retire'),
  release: did('release'),
  forget: did('forget'),
};

const prices = {
  priced: () => Promise.resolve([]),
  stepsOf: () => Promise.resolve(new Map<Id, never>()),
  believedAt: () => Promise.resolve(new Map<Id, never>()),
};
const service = (book: NodesDeps['prices'] = prices): NodesService =>
  new NodesService({
    commands: new Commands({ database: db.database, clock }),
    clock,
    store,
    capacity,
    clusters,
    prices: book,
    providers: ['simulated', 'second'],
  });

async function pass(): Promise<string[]> {
  done = [];
  now += POOL_PACE.stepMs;
  // The lease ends by the database's clock, which is the real one.
  await db.database.write(SYSTEM, (tx) => renewLease(tx, lease));
  const plan = reconciler.plan(await reconciler.prepare(), now);
  await reconciler.execute(plan, new AbortController().signal);
  return done;
}

const events = async (prefix: string) =>
  (
    await db.database.read(SYSTEM, (tx) =>
      sqlOf(tx).query<{ type: string }>(`select type from outbox where type like $1 order by seq`, [`${prefix}%`]),
    )
  ).map(({ type }) => type);
const rows = () => db.database.read(SYSTEM, (tx) => store.presentNodes(tx, CLUSTER));
const scaling = async () => (await db.database.read(SYSTEM, (tx) => store.scalings(tx, [POOL.id])))[0];
const waiting = (n: number): WaitingPod => ({
  ...{ uid: uid(3_000 + n), workloadId: uid(500), requests: { cpuMilli: 2_000, memoryMib: 512, accelerator: null } },
  ...{ pool: 'burst', nodeSelector: {}, since: 0, message: 'no node fits' },
});

beforeAll(async () => {
  db = await openTestDatabase();
  const { database } = db;
  await database.write(SYSTEM, async (tx) => {
    await sqlOf(tx).execute(`insert into cluster (id, name, kind, version, created_at) values ($1, 'east', 'kubernetes', 1, 0)`, [
      CLUSTER,
    ]);
    await clusters.insertPool(tx, POOL, 'test');
  });
  const held = await database.write(SYSTEM, (tx) => acquireLease(tx, 'nodes/test', 'me'));
  if (!held) throw new Error('the lease is not free');
  lease = held;
  market = new SimulatedCloud({ clock, random: seededRandom(4) });
  decisions = new DecisionsService({ store: new DecisionRepository(), clock, random: seededRandom(5) });
  const providers = new Map([[market.name, market]]);
  const meter = null;
  reconciler = new NodesReconciler({
    ...{ database, store, capacity, clusters, prices, decisions, inventory, actions, providers, meter, clock },
    ...{ clusterId: CLUSTER, installation: 'here', logger: quietLogger, pace: POOL_PACE, lease: () => lease },
    ...{ velocity: VELOCITY_LIMITS, random: seededRandom(7) },
  });
});
afterAll(() => db.close());

describe('Spot and nodes: their rows and their story', () => {
  test('nodes that join, fall silent, are noticed and go are rows and events; a steady state writes nothing', async () => {
    shown = { nodes: [node(1, { pods: [pod(1)] }), node(2)], waiting: [] };
    await pass();
    expect((await rows()).map(({ name, pods, poolId }) => [name, pods, poolId])).toEqual([
      ['node1', 1, POOL.id],
      ['node2', 0, POOL.id],
    ]);
    const before = await rows();
    await pass();
    expect(await rows()).toEqual(before);
    shown = { nodes: [node(1, { pods: [pod(1)], readiness: 'unknown' }), node(2, { notice })], waiting: [] };
    await pass();
    shown = { nodes: [node(1, { pods: [pod(1)], readiness: 'unknown' })], waiting: [] };
    await pass();
    expect(await events('node.')).toEqual(['node.added', 'node.added', 'node.unreachable', 'node.interrupted', 'node.removed']);
    expect((await rows()).map(({ name, readiness }) => [name, readiness])).toEqual([['node1', 'unknown']]);
  });

  test('a cluster that cannot be seen keeps its nodes', async () => {
    shown = null;
    expect(await pass()).toEqual([]);
    expect(await rows()).toHaveLength(1);
  });

  test('the last replica that serves is released, and retires when its successor serves', async () => {
    const doomed = node(1, { notice, pods: [pod(1)] });
    shown = { nodes: [doomed, node(2)], waiting: [] };
    expect(await pass()).toEqual(['release pod1']);
    shown = { nodes: [{ ...doomed, pods: [pod(1, { replaced: false })] }, node(2, { pods: [pod(2)] })], waiting: [] };
    expect(await pass()).toEqual(['retire pod1']);
  });

  test('without the lease nothing is seen and nothing done', async () => {
    const kept = lease;
    lease = { ...kept, epoch: kept.epoch - 1 };
    shown = { nodes: [node(9)], waiting: [] };
    await expect(pass()).rejects.toThrow(/no longer held/);
    lease = kept;
    expect((await rows()).map(({ name }) => name)).not.toContain('node9');
  });

  test('a price that is none is told until it is mended, and nothing else prices the node', async () => {
    const words = 'It says "free".';
    shown = { nodes: [node(5, { priceProblem: words })], waiting: [] };
    await pass();
    const [told] = await rows();
    expect(told).toMatchObject({ name: 'node5', priceProblem: words, pricePerHour: null });
    const dear = {
      ...prices,
      believedAt: (_tx: unknown, ids: readonly Id[]) =>
        Promise.resolve(new Map(ids.map((id) => [id, { effective: 5n } as PriceRow]))),
    };
    const priceOf = (one: ClusterNode) =>
      db.database.read(SYSTEM, (tx) => service(dear).prices(tx, [{ ...one, offeringId: uid(70) }]));
    expect(await priceOf(told!)).toEqual([null]);
    shown = { nodes: [node(5)], waiting: [] };
    await pass();
    expect(await priceOf((await rows())[0]!)).toEqual([5n]);
    expect((await events('node.price')).at(-1)).toBe('node.price_accepted');
  });
});

describe('Nodes scale: asked for at a provider', () => {
  const wish = {
    poolId: POOL.id,
    provider: 'simulated',
    config: { cpuMilli: '2000', memoryMib: '4096' },
    minNodes: 0,
    maxNodes: 2,
  };

  test('administrators say how a pool scales; a stale version, an unknown provider and bad limits are refused', async () => {
    const set = (more: object) => service().setScaling(admin, { ...wish, expectedVersion: null, ...more });
    expect(await set({ provider: 'moon' })).toMatchObject({ ok: false, error: { code: 'INVALID_INPUT' } });
    expect(await set({ minNodes: 3 })).toMatchObject({ ok: false, error: { code: 'INVALID_INPUT' } });
    expect(await set({ maxNodes: 1_001 })).toMatchObject({ ok: false, error: { code: 'LIMIT_EXCEEDED' } });
    expect(await set({ expectedVersion: 0 })).toMatchObject({ ok: true });
    expect(await set({ expectedVersion: 0 })).toMatchObject({ ok: false, error: { code: 'CONFLICT' } });
    expect(await set({ expectedVersion: 1 })).toMatchObject({ ok: true });
    const other = { ...admin, principal: principalOf('team_admin', uid(1)) };
    expect(await service().setScaling(other, { ...wish, expectedVersion: null })).toMatchObject({ error: { code: 'NOT_FOUND' } });
    expect(await events('pool.')).toEqual(['pool.scaling_changed']);
    expect((await scaling())?.version).toBe(1);
  });

  test('a refusal is told once, and asked again when it is worth it', async () => {
    market.change({ quota: 0 });
    shown = { nodes: [], waiting: [waiting(1)] };
    await pass();
    await pass();
    expect((await events('pool.')).filter((type) => type === 'pool.stalled')).toHaveLength(1);
    expect((await scaling())?.conditions).toMatchObject([{ type: 'Growing', status: 'False', reason: 'QUOTA' }]);
    market.change({ quota: 100 });
    now += 60_000;
    await pass();
    expect(await market.observeNodes('here/east/burst')).toMatchObject({ desired: 1 });
    expect((await scaling())?.conditions).toMatchObject([{ type: 'Growing', status: 'True' }]);
  });

  test('answers that get lost are looked up and never doubled', async () => {
    market.change({ lost: 0.5 });
    shown = { nodes: [], waiting: [waiting(1), waiting(2)] };
    for (let n = 0; n < 20; n += 1) await pass();
    market.change({ lost: 0 });
    expect(await market.observeNodes('here/east/burst')).toMatchObject({ desired: 2 });
  });

  test('a pool with machines goes nowhere else: nobody would give them back', async () => {
    const set = (more: object) => service().setScaling(admin, { ...wish, expectedVersion: null, ...more });
    const region = { ...wish.config, region: 'elsewhere' };
    for (const more of [{ provider: 'second' }, { config: region }])
      expect(await set(more)).toMatchObject({ ok: false, error: { code: 'PRECONDITION_FAILED' } });
    expect(await scaling()).toMatchObject({ provider: 'simulated', config: wish.config });
  });

  test('idle nodes are marked and given back, and those whose machine is gone are forgotten', async () => {
    const machines = (await market.observeNodes('here/east/burst'))?.nodes ?? [];
    const joined = (more: Partial<ObservedNode> = {}) =>
      machines.map(({ instanceId }, n) => node(40 + n, { name: instanceId, instanceId, ...more }));
    shown = { nodes: joined(), waiting: [] };
    await pass();
    now += POOL_PACE.idleMs;
    expect((await pass()).sort()).toEqual(machines.map(({ instanceId }) => `cordon ${instanceId}`));
    shown = { nodes: joined({ releasing: true, schedulable: false }), waiting: [] };
    await pass();
    expect(await market.observeNodes('here/east/burst')).toMatchObject({ desired: 0 });
    shown = { nodes: joined({ releasing: true, schedulable: false, readiness: 'unknown' }), waiting: [] };
    now += 60_000;
    expect((await pass()).sort()).toEqual(machines.map(({ instanceId }) => `forget ${instanceId}`));
    expect((await events('pool.')).at(-1)).toBe('pool.shrunk');
  });

  test('every change of its size is a decision with its reason, which administrators of the platform read', async () => {
    const page = { subjectId: POOL.id, kind: null, before: null, first: 100 };
    const { items } = await db.database.read(SYSTEM, (tx) => decisions.list(tx, admin.principal, page));
    const sizes = items.map(({ kind, chosen, reasons }) => [
      kind,
      (chosen as { nodes: number }).nodes,
      reasons[0]?.split(' ')[0],
    ]);
    expect(sizes.at(0)).toEqual(['scale_pool', 0, 'No']);
    expect(sizes.at(-1)).toEqual(['scale_pool', 1, 'Pods']);
    expect(items).toHaveLength((await events('pool.')).filter((type) => /grown|shrunk/.test(type)).length);
    expect(items[0]).toMatchObject({
      teamId: null,
      inputs: { cluster: 'east', pool: 'burst', provider: 'simulated', maxNodes: 2 },
    });
    const other = principalOf('team_admin', uid(1));
    expect((await db.database.read(SYSTEM, (tx) => decisions.list(tx, other, page))).items).toEqual([]);
    expect(await db.database.read(SYSTEM, (tx) => decisions.byId(tx, other, items[0]?.id ?? ''))).toBeNull();
  });

  test('a pool that is taken out drains, is given back whatever answers get lost, and is forgotten by its provider, once', async () => {
    market.change({ startMs: [0, 0], stopMs: 0 });
    shown = { nodes: [], waiting: [waiting(1), waiting(2)] };
    now += POOL_PACE.settleMs;
    await pass();
    const machines = (await market.observeNodes('here/east/burst'))?.nodes.filter(({ phase }) => phase === 'running') ?? [];
    expect(machines).toHaveLength(2);
    const joined = (more: Partial<ObservedNode> = {}) =>
      machines.map(({ instanceId }, n) => node(60 + n, { name: instanceId, instanceId, ...more }));
    const fleet = new FleetService({
      ...{ commands: new Commands({ database: db.database, clock }), clock, random: seededRandom(6), store: clusters },
      use: new ClusterUseRepository(),
    });
    const none = { access: null, modelServerImage: null, routerCidrs: null, routerNamespace: null, pools: [], removePools: [] };
    const change = (edit: object) =>
      fleet.update(admin, { clusterId: CLUSTER, expectedVersion: null, edit: { ...none, ...edit } });
    const target = { clusterId: CLUSTER, expectedVersion: null };
    expect(await fleet.remove(admin, target)).toMatchObject({ error: { message: 'Machines are rented for burst.' } });
    expect(await change({ removePools: ['burst'] })).toMatchObject({ ok: true });
    const again = { name: 'burst', capacityType: 'spot', offeringId: null, nodeSelector: {} };
    expect(await change({ pools: [again] })).toMatchObject({ ok: false, error: { code: 'PRECONDITION_FAILED' } });

    shown = { nodes: joined({ pods: [pod(1)] }), waiting: [] };
    expect((await pass()).sort()).toEqual(machines.map(({ instanceId }) => `cordon ${instanceId}`));
    shown = { nodes: joined({ releasing: true, schedulable: false }), waiting: [] };
    market.change({ lost: 0.5 });
    for (let n = 0; n < 10; n += 1) await pass();
    market.change({ lost: 0 });
    await pass();
    expect(await market.observeNodes('here/east/burst')).toMatchObject({ desired: 0 });
    shown = { nodes: [], waiting: [] };
    market.change({ lost: 0.5 });
    for (let n = 0; n < 20; n += 1) await pass();
    market.change({ lost: 0 });
    await pass();
    expect(await market.observeNodes('here/east/burst')).toBeNull();
    expect(await scaling()).toBeUndefined();
    expect((await events('pool.')).filter((type) => type === 'pool.given_back')).toHaveLength(1);
    expect(await change({ pools: [again] })).toMatchObject({ ok: true });
    expect(await change({ removePools: ['burst'] })).toMatchObject({ ok: true });
    expect(await fleet.remove(admin, target)).toMatchObject({ ok: true });
  });
});
