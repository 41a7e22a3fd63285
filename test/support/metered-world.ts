import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RouterLink } from '../../src/api/router-link.ts';
import { CostRepository } from '../../src/costs/cost.repository.ts';
import { makeCostMetrics } from '../../src/costs/costs.metrics.ts';
import { CostsReconciler } from '../../src/costs/costs.reconciler.ts';
import { MeteringService } from '../../src/costs/metering.service.ts';
import { newId, type Id } from '../../src/kernel/id.ts';
import { MINUTE_MS, type Instant } from '../../src/kernel/instant.ts';
import { acquireLease, type Lease } from '../../src/persistence/lease.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { makeMetricRegistry } from '../../src/telemetry/metrics.ts';
import type { RouteCredential, RouteTable } from '../../src/traffic/router-contract/route-table.ts';
import type { ReportAnswer, UsageReport } from '../../src/traffic/router-contract/usage-report.ts';
import { seededRandom } from './actors.ts';
import { addPrice, addReplica, makeCostedWorld, type CostedWorld } from './costed-world.ts';
import { openTestDatabase, type TestDatabase } from './database.ts';
import { quietLogger } from './quiet-logger.ts';
import { dataFolder } from './routed.ts';

export const SYSTEM = { kind: 'reconciler', loop: 'test' } as const;
export const RATE = 96_000_000_007n;
export const CONCURRENCY = 2;
/** Start of a minute; the replica serves from here on. */
export const T0: Instant = Date.parse('2026-11-02T10:00:00Z');
export const REPLICA = newId(T0, seededRandom(11));
export const CALLERS = [21, 22, 23].map((seed) => ({
  id: newId(T0, seededRandom(seed)),
  teamId: newId(T0, seededRandom(seed + 100)),
  token: `token-${seed}`,
}));

/** Time that passes by itself and can be moved on; the same for routers and control plane. */
export class VirtualClock {
  #offsetUs = T0 * 1000 - Math.round(performance.now() * 1000);

  nowUs = (): number => Math.round(performance.now() * 1000) + this.#offsetUs;
  now = (): Instant => Math.floor(this.nowUs() / 1000);

  advance(ms: number): void {
    this.#offsetUs += ms * 1000;
  }

  /** Moves on to `ms` after the start; nothing when that has passed. */
  advanceTo(ms: number): void {
    this.advance(Math.max(0, T0 + ms - this.now()));
  }
}

/** What happens to a report between the link and the book. */
export type Passage = 'book' | 'refuse' | 'keep';

/** Metering and ledger on a database of their own, behind a real link that routers of any name can use. */
export class MeteredWorld {
  readonly clock: VirtualClock;
  readonly reports: UsageReport[] = [];
  passage: Passage = 'book';
  table: RouteTable | null = null;
  port = 0;
  readonly folder = dataFolder();
  readonly registry = makeMetricRegistry();
  readonly #db: TestDatabase;
  readonly #reconciler: CostsReconciler;
  readonly #metering: MeteringService;
  readonly #link: RouterLink;
  #lease: Lease | null = null;

  private constructor(db: TestDatabase, clock: VirtualClock) {
    this.#db = db;
    this.clock = clock;
    const deps = {
      database: db.database,
      store: new CostRepository(),
      clock,
      logger: quietLogger,
      metrics: makeCostMetrics(this.registry),
    };
    this.#metering = new MeteringService(deps);
    this.#reconciler = new CostsReconciler({ ...deps, lease: () => this.#lease });
    this.#link = new RouterLink({
      authenticate: (name) =>
        Promise.resolve({ id: newId(1, seededRandom(1)), kind: 'router', name, grants: [], platformActions: [], tokenId: null }),
      tables: {
        current: () => this.table,
        changed: () => () => undefined,
        everRouted: (ids) => Promise.resolve(new Set(ids.filter((id) => id === REPLICA))),
      },
      usage: { joined: (router) => this.#metering.joined(router), accept: (report, router) => this.#accept(report, router) },
      registry: makeMetricRegistry(),
      logger: quietLogger,
      tls: null,
    });
  }

  /** One replica of `acme`, serving since `T0` at `RATE`; `address` is where it answers. */
  static async open(address: string, clock = new VirtualClock()): Promise<MeteredWorld> {
    const db = await openTestDatabase();
    const made = await db.database.write(SYSTEM, async (tx) => {
      const world = await makeCostedWorld(tx, 9, 'acme');
      await addPrice(tx, world, { id: newId(T0, seededRandom(12)), rate: RATE, from: 0, observedAt: 1 });
      await addReplica(tx, world, { id: REPLICA, from: T0, transitions: [[T0, 'serving']] });
      return world;
    });
    const world = new MeteredWorld(db, clock);
    world.table = tableOf(made, address);
    world.port = await world.#link.listen('127.0.0.1', 0);
    return world;
  }

  /** The token of a router is its name. */
  folderOf(router: string): string {
    const folder = dataFolder();
    writeFileSync(join(folder, 'router-token'), router, { mode: 0o600 });
    return folder;
  }

  #accept(report: UsageReport, router: { readonly name: string }): Promise<ReportAnswer> {
    if (this.passage === 'refuse') return Promise.reject(new Error('the book is closed'));
    this.reports.push(report);
    return this.passage === 'keep'
      ? Promise.resolve({ accepted: true, repeated: false, refusedRows: 0 })
      : this.#metering.accept(report, router);
  }

  /** Delivers a report over the link, as its router would. */
  async deliver(report: UsageReport): Promise<ReportAnswer> {
    const headers = { authorization: `Bearer ${report.source.split('/')[0] ?? ''}`, 'content-type': 'application/json' };
    const answer = await fetch(`http://127.0.0.1:${this.port}/link/v1/reports`, {
      method: 'POST',
      headers,
      body: JSON.stringify(report),
    });
    return (await answer.json()) as ReportAnswer;
  }

  /** One pass of the closing loop, before which the replica was seen; gives the number of replicas that were worked on. */
  async close({ seen = true } = {}): Promise<number> {
    const now = this.clock.now();
    this.#lease = await this.#db.database.write(SYSTEM, async (tx) => {
      if (seen) await sqlOf(tx).execute(`update replica set observed_at = $1, last_evidence_at = $1`, [now]);
      return acquireLease(tx, 'costs', 'test');
    });
    const plan = this.#reconciler.plan(await this.#reconciler.prepare(), now);
    await this.#reconciler.execute(plan, new AbortController().signal);
    return plan.length;
  }

  query<R>(text: string): Promise<R[]> {
    return this.#db.database.read(SYSTEM, (tx) => sqlOf(tx).query<R>(text));
  }

  /** The sums of the whole ledger and of all usage. */
  async sums(): Promise<LedgerSums> {
    const [row] = await this.query<Record<keyof LedgerSums, string>>(`select
      (select coalesce(max(closed_until), 0)::text from metered_replica) as "closedUntil",
      (select coalesce(sum(effective), 0)::text from ledger_line) as lines,
      (select coalesce(sum(effective), 0)::text from ledger_line where caller is not null) as share,
      (select coalesce(sum(requests), 0)::text from usage_minute) as requests,
      (select coalesce(sum(stamped), 0)::text from usage_minute) as stamped,
      (select coalesce(max(busy), 0)::text from (select sum(busy_us) as busy from usage_minute group by minute) x) as "busiestUs"`);
    const of = (key: keyof LedgerSums): bigint => BigInt(row?.[key] ?? 0);
    return {
      closedUntil: of('closedUntil'),
      lines: of('lines'),
      share: of('share'),
      requests: of('requests'),
      stamped: of('stamped'),
      busiestUs: of('busiestUs'),
    };
  }

  /** Every net line, as text. */
  ledger = (): Promise<unknown[]> =>
    this
      .query(`select minute, price_id, state, group_key, sum(ms)::text ms, sum(list)::text list, sum(effective)::text effective from ledger_line
      group by 1, 2, 3, 4 having sum(ms) <> 0 or sum(effective) <> 0 order by 1, 2, 3, group_key collate "C"`);

  async dispose(): Promise<void> {
    await this.#link.close();
    await this.#db.close();
  }
}

export interface LedgerSums {
  readonly closedUntil: bigint;
  readonly lines: bigint;
  readonly share: bigint;
  readonly requests: bigint;
  readonly stamped: bigint;
  /** The busy time of the busiest minute. */
  readonly busiestUs: bigint;
}

function tableOf(world: CostedWorld, address: string): RouteTable {
  const replica = { replicaId: REPLICA, address, ratePicoUsdPerHour: RATE.toString() };
  const revision = {
    revisionId: world.revisionId,
    number: 1,
    weight: 100,
    concurrency: CONCURRENCY,
    protocol: 'oip' as const,
    retryable: false,
    replicas: [replica],
  };
  const { deploymentId, teamId, projectId } = world;
  return {
    version: { epoch: 'e', n: 1 },
    madeAt: T0,
    deployments: [
      {
        deploymentId,
        teamId,
        projectId,
        path: 'acme/acme/acme',
        hosts: [],
        deadlineMs: 10 * MINUTE_MS,
        queueLimit: 64,
        revisions: [revision],
      },
    ],
    deleted: [],
    credentials: CALLERS.map(credentialOf),
    issuers: [],
  };
}

const credentialOf = ({
  id,
  teamId,
  token,
}: {
  readonly id: Id;
  readonly teamId: Id;
  readonly token: string;
}): RouteCredential => ({
  tokenSha256: createHash('sha256').update(token).digest('hex'),
  principalId: id,
  callerTeamId: teamId,
  expiresAt: null,
  access: { all: true, teamIds: [], projectIds: [] },
});
