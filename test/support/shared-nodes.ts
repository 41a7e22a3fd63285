import type { OpenLine } from '../../src/costs/cost-breakdown.ts';
import { CostRepository } from '../../src/costs/cost.repository.ts';
import { makeCostMetrics } from '../../src/costs/costs.metrics.ts';
import { CostsReconciler } from '../../src/costs/costs.reconciler.ts';
import { LedgerAudit } from '../../src/costs/ledger-audit.reconciler.ts';
import { LedgerAuditRepository } from '../../src/costs/ledger-audit.repository.ts';
import { MeteringService } from '../../src/costs/metering.service.ts';
import { NodeCostRepository } from '../../src/costs/node-cost.repository.ts';
import { NodeCostsReconciler } from '../../src/costs/node-costs.reconciler.ts';
import { NodeFactsRepository } from '../../src/costs/node-facts.repository.ts';
import { NodeMeteringService } from '../../src/costs/node-metering.service.ts';
import { NO_NODE, UNPRICED } from '../../src/costs/ledger-lines.repository.ts';
import type { InventoryObservation, NodePod, NodeUsage, ObservedNode } from '../../src/fleet/cluster-inventory.port.ts';
import { newId, type Id } from '../../src/kernel/id.ts';
import type { Transaction } from '../../src/kernel/transaction.ts';
import { makeClient } from '../../src/persistence/connection.ts';
import { acquireLease, type Lease } from '../../src/persistence/lease.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { PriceRepository } from '../../src/pricing/price.repository.ts';
import { makeMetricRegistry } from '../../src/telemetry/metrics.ts';
import { seededRandom } from './actors.ts';
import { addPrice, addReplica, makeCostedWorld, type CostedWorld } from './costed-world.ts';
import { openTestDatabase, type TestDatabase } from './database.ts';
import { quietLogger } from './quiet-logger.ts';

export const SYSTEM = { kind: 'reconciler', loop: 'test' } as const;
export const MINUTE = 60_000;
export const T0 = Date.parse('2026-11-02T10:00:00Z');
export const id = (seed: number): Id => newId(T0, seededRandom(seed));
export const NODES = [id(11), id(12)] as const;
/** The replicas: of acme on the first node, of bolt on the second, of acme on the first. */
export const PODS = [id(21), id(22), id(23)] as const;
const FOREIGN = [id(31), id(32)] as const;
export const RATES = [96_000_000_007n, 333_000_000_001n] as const;

interface Sample {
  readonly at: number;
  readonly usage: readonly NodeUsage[];
}

const resources = (cpuMilli: number, memoryMib: number) => ({ cpuMilli, memoryMib, accelerator: null });

const node = (uid: Id, name: string, more: Partial<ObservedNode>): ObservedNode => ({
  uid,
  name,
  from: T0,
  capacity: resources(4_000, 16_384),
  allocatable: resources(3_900, 15_000),
  provider: 'aws',
  instanceId: null,
  region: 'acme',
  zone: 'acme-1a',
  instanceType: 'm5.large',
  capacityType: null,
  pricePerHour: null,
  priceProblem: null,
  pool: null,
  labels: {},
  readiness: 'ready',
  readinessSince: T0,
  seenAt: T0,
  schedulable: true,
  notice: null,
  releasing: false,
  pods: [],
  ...more,
});

const pod = (uid: Id, name: string, requests: NodePod['requests']): NodePod => ({
  uid,
  namespace: name.startsWith('daemon') ? 'kube-system' : 'purser-team',
  name,
  workloadId: null,
  owner: `Pod/${name}`,
  daemon: false,
  requests,
  from: T0,
  endingSince: null,
  ready: true,
  replaced: true,
});

const counts = {
  attempts: 1,
  requests: 1,
  errors: 0,
  bytesIn: 1,
  bytesOut: 2,
  inputTokens: 3,
  outputTokens: 4,
  stampedPicoUsd: '0',
};

/** Two priced nodes with three replicas of two teams and two pods of nobody's, on a clock that is moved by hand. */
export class SharedWorld {
  readonly clock = { at: T0, now: (): number => this.clock.at };
  readonly db: TestDatabase;
  readonly teams: { readonly acme: CostedWorld; readonly bolt: CostedWorld };
  readonly #deps;
  readonly #meter: NodeMeteringService;
  #nodes: ObservedNode[];
  #samples: Sample[] = [];
  #lease: Lease | null = null;
  #sequence = 0;

  constructor(db: TestDatabase, teams: SharedWorld['teams']) {
    this.db = db;
    this.teams = teams;
    const metrics = makeCostMetrics(makeMetricRegistry());
    this.#deps = {
      database: db.database,
      store: new CostRepository(),
      nodes: new NodeCostRepository(),
      clock: this.clock,
      logger: quietLogger,
      metrics,
      lease: () => this.#lease,
    };
    this.#meter = new NodeMeteringService({
      store: new NodeFactsRepository(),
      prices: new PriceRepository(),
      random: seededRandom(77),
    });
    this.#nodes = [
      node(NODES[0], 'one', {
        pods: [
          pod(PODS[0], 'a', resources(1_000, 2_048)),
          pod(PODS[2], 'c', resources(500, 4_096)),
          pod(FOREIGN[0], 'daemon-1', resources(100, 200)),
        ],
      }),
      node(NODES[1], 'two', {
        pricePerHour: RATES[1],
        pods: [pod(PODS[1], 'b', resources(3_000, 1_024)), pod(FOREIGN[1], 'daemon-2', resources(0, 0))],
      }),
    ];
  }

  #write<T>(body: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.db.database.write(SYSTEM, body);
  }

  observe(): Promise<void> {
    const inventory: InventoryObservation = { observedAt: this.clock.at, nodes: this.#nodes, waiting: [] };
    return this.#write((tx) => this.#meter.observed(tx, this.teams.acme.clusterId, inventory));
  }

  /** Counters that rise with the time, faster for some pods and in some minutes. */
  async sample(): Promise<void> {
    const at = this.clock.at - 1_000;
    const usage = this.#nodes.map(({ uid, name, pods }) => ({
      nodeUid: uid,
      nodeName: name,
      pods: pods.map((one, n) => {
        const seconds = (at - T0) / 1_000;
        return {
          uid: one.uid,
          at,
          cpuUs: Math.floor(seconds * 250_000 * (n + 1) + seconds ** 2 * 900),
          memoryMib: 1_000 + 997 * n + (Math.floor(seconds) % 777),
        };
      }),
    }));
    await this.deliver([{ at: this.clock.at, usage }]);
  }

  async deliver(samples: readonly Sample[]): Promise<void> {
    for (const sample of samples) await this.#write((tx) => this.#meter.sampled(tx, sample.at, sample.usage));
    this.#samples.push(...samples);
  }

  repeatSample = (): Promise<void> => this.deliver(this.#samples.slice(-1));
  readings = (): readonly Sample[] => this.#samples;

  /** A report of the one router: requests of two teams in a minute, and that nothing more comes of earlier ones. */
  async use(n: number): Promise<void> {
    const callers = [this.teams.acme.teamId, this.teams.bolt.teamId];
    const rows = PODS.flatMap((replicaId, i) =>
      callers.map((caller, k) => ({
        ...counts,
        replicaId,
        minute: T0 + n * MINUTE,
        callerTeamId: caller,
        caller,
        kind: 'inference' as const,
        experiment: '',
        busyUs: (n * 7 + i * 3 + k) * 999_983,
      })),
    );
    this.#sequence += 1;
    const report = {
      source: `edge/${id(5)}`,
      sequence: this.#sequence,
      through: T0 + n * MINUTE,
      tableVersion: { epoch: 'e', n: 1 },
      rows,
    };
    await new MeteringService(this.#deps).accept(report, { name: 'edge' });
  }

  /** Closes what can be closed, and says how much there was to do. */
  async close(): Promise<number> {
    this.#lease = await this.#write((tx) => acquireLease(tx, 'costs', 'test'));
    const signal = new AbortController().signal;
    const [replicas, nodes] = [new CostsReconciler(this.#deps), new NodeCostsReconciler(this.#deps)];
    const turns = replicas.plan(await replicas.prepare(), this.clock.at);
    await replicas.execute(turns, signal);
    const nodeTurns = nodes.plan(await nodes.prepare(), this.clock.at);
    await nodes.execute(nodeTurns, signal);
    return turns.length + nodeTurns.length;
  }

  /** A pass of an auditor that was just started. */
  async audit(): Promise<void> {
    this.#lease = await this.#write((tx) => acquireLease(tx, 'costs', 'test'));
    const audit = new LedgerAuditRepository(this.#deps.store, this.#deps.nodes);
    await new LedgerAudit({ ...this.#deps, audit }).pass(new AbortController().signal);
  }

  /** Changes a table as its owner, who may switch off what forbids it. */
  async meddle(statement: string): Promise<void> {
    const owner = makeClient(this.db.ownerUrl, 'purser test');
    await owner.connect();
    const allowed = ['ledger_line', 'ledger_line_2026_11'].map((table) => `alter table ${table} disable trigger user`);
    for (const text of [`select set_config('purser.scope', 'reconciler', false)`, ...allowed, statement]) await owner.query(text);
    await owner.end();
  }

  #change(uid: Id, change: (one: ObservedNode) => ObservedNode): void {
    this.#nodes = this.#nodes.map((one) => (one.uid === uid ? change(one) : one));
  }

  annotate(uid: Id, pricePerHour: bigint): void {
    this.#change(uid, (one) => ({ ...one, pricePerHour, priceProblem: null }));
  }

  /** What its annotation says is no price. */
  misprice(uid: Id): void {
    this.#change(uid, (one) => ({ ...one, pricePerHour: null, priceProblem: 'The annotation says "free".' }));
  }

  unprice(uid: Id): void {
    this.#change(uid, (one) => ({ ...one, pricePerHour: null, instanceType: null }));
  }

  /** The node is not named any more, and its replicas have ended. */
  async lose(uid: Id): Promise<void> {
    const ids = this.#nodes.find((one) => one.uid === uid)!.pods.map((one) => one.uid);
    this.#nodes = this.#nodes.filter((one) => one.uid !== uid);
    const text = `update replica set capacity_until = $2, observed_at = $2 where id = any ($1::uuid[])`;
    await this.#write((tx) => sqlOf(tx).execute(text, [`{${ids.join(',')}}`, this.clock.at]));
  }

  move(podId: Id, to: Id): void {
    const moved = this.#nodes.flatMap(({ pods }) => pods).find(({ uid }) => uid === podId)!;
    this.#nodes = this.#nodes.map((one) => {
      const rest = one.pods.filter(({ uid }) => uid !== podId);
      return { ...one, pods: one.uid === to ? [...rest, { ...moved, from: this.clock.at }] : rest };
    });
  }

  async price(rate: bigint, from: number): Promise<void> {
    await this.#write((tx) => addPrice(tx, this.teams.acme, { id: id(1_000 + from), rate, from, observedAt: this.clock.at }));
  }

  #query<T extends object>(text: string): Promise<T[]> {
    return this.db.database.read(SYSTEM, (tx) => sqlOf(tx).query<T>(text));
  }

  violations = (): Promise<{ readonly message: string }[]> =>
    this.#query(`select message from outbox where type = 'ledger.invariant_violated'`);

  ledger = (): Promise<object[]> =>
    this
      .#query(`select resource_id, node_id, kind, minute, price_id, state, group_key, sum(ms)::text as ms, sum(list)::text as list,
      sum(effective)::text as effective from ledger_line group by 1, 2, 3, 4, 5, 6, 7 having sum(ms) <> 0 or sum(list) <> 0 or sum(effective) <> 0
      order by 1, 2, 3, 4, 5, 6, 7`);

  facts = (): Promise<object[]> =>
    this.#query(`select (select jsonb_agg(to_jsonb(x) order by node_id) from metered_node x) as nodes,
      (select jsonb_agg(to_jsonb(x) order by node_id, n) from node_shape x) as shapes,
      (select jsonb_agg(to_jsonb(x) order by pod_id, placed_from) from node_placement x) as pods,
      (select jsonb_agg(to_jsonb(x) order by pod_id, minute) from pod_use x) as use, (select count(*)::int from ledger_line) as lines`);

  /** The ledger as the code that spreads it reads it. */
  async lines(): Promise<OpenLine[]> {
    const rows = await this.#query<Record<string, string> & { minute: number }>(
      `select resource_id, node_id, kind, minute, price_id, state, group_key, caller_team_id, caller, call_kind, experiment, cluster_id,
        sum(ms)::text as ms, sum(list)::text as list, sum(contracted)::text as contracted, sum(effective)::text as effective
        from ledger_line group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12`,
    );
    const nothing = {
      teamId: null,
      projectId: null,
      deploymentId: null,
      revisionId: null,
      modelId: null,
      modelVersionId: null,
      offeringId: null,
    };
    return rows.map((row) => ({
      ...nothing,
      resourceId: row['resource_id']!,
      kind: row['kind'] as OpenLine['kind'],
      nodeId: row['node_id'] === NO_NODE ? null : row['node_id']!,
      clusterId: row['cluster_id']!,
      minute: row.minute,
      assumed: false,
      priceId: row['price_id'] === UNPRICED ? null : row['price_id']!,
      state: row['state'] as OpenLine['state'],
      group: row['caller']
        ? { callerTeamId: row['caller_team_id']!, caller: row['caller'], kind: 'inference', experiment: row['experiment']! }
        : null,
      ms: Number(row['ms']),
      list: BigInt(row['list']!),
      contracted: BigInt(row['contracted']!),
      effective: BigInt(row['effective']!),
    }));
  }
}

export async function makeSharedWorld(): Promise<SharedWorld> {
  const db = await openTestDatabase();
  const teams = await db.database.write(SYSTEM, async (tx) => {
    const acme = await makeCostedWorld(tx, 9, 'acme');
    const bolt = { ...(await makeCostedWorld(tx, 10, 'bolt')), clusterId: acme.clusterId };
    await sqlOf(tx).execute(`update cluster set kind = 'kubernetes' where id = $1`, [acme.clusterId]);
    await addPrice(tx, acme, { id: id(3), rate: RATES[0], from: 0, observedAt: 1 });
    await addReplica(tx, acme, {
      id: PODS[0],
      from: T0,
      transitions: [
        [T0 + 70_500, 'serving'],
        [T0 + 3 * MINUTE, 'unready'],
        [T0 + 200_123, 'serving'],
      ],
    });
    await addReplica(tx, bolt, { id: PODS[1], from: T0, transitions: [[T0 + 20_000, 'serving']] });
    await addReplica(tx, acme, {
      id: PODS[2],
      from: T0,
      transitions: [
        [T0 + 61_001, 'serving'],
        [T0 + 11 * MINUTE + 5, 'draining'],
      ],
    });
    return { acme, bolt };
  });
  return new SharedWorld(db, teams);
}
