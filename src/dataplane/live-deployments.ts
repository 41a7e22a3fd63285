import { Pool } from 'undici';
import type { Random } from '../kernel/random.ts';
import type { Instant } from '../kernel/instant.ts';
import type { RouteDeployment, RouteReplica, RouteRevision, RouteTable } from '../traffic/router-contract/route-table.ts';
import { chooseReplica, type CandidateRevision } from './choose-replica.ts';
import { makeRouteIndex, type RouteIndex } from './match-route.ts';
import { isEjected, newHealth, type Health } from './outlier-ejection.ts';
import { RetryBudget } from './retry-budget.ts';

/** A replica that does not take a connection in this time is dead. Higher: callers wait; lower: a busy machine looks dead. */
const CONNECT_TIMEOUT_MS = 2_000;
/** Idle connections to replicas are kept this long. Longer than most servers keep them would send into closed sockets. */
const KEEP_ALIVE_MS = 4_000;

export interface LiveReplica {
  readonly id: string;
  readonly address: string;
  readonly pool: Pool;
  readonly health: Health;
  readonly revision: RouteRevision;
  readonly rate: bigint | null;
  readonly load: { inFlight: number };
}

interface Waiter {
  readonly tried: ReadonlySet<string>;
  readonly resolve: (grant: Grant) => void;
}

export type Grant =
  { readonly kind: 'replica'; readonly replica: LiveReplica } | { readonly kind: 'full' } | { readonly kind: 'none' };

/** One deployment with what the router knows beyond the table: load, health, who waits. Outlives tables. */
export class LiveDeployment {
  row: RouteDeployment;
  readonly budget: RetryBudget;
  readonly #random: Random;
  readonly #clock: () => Instant;
  readonly #waiting = new Set<Waiter>();
  #revisions: readonly { readonly revision: RouteRevision; readonly replicas: readonly LiveReplica[] }[] = [];

  constructor(row: RouteDeployment, clock: () => Instant, random: Random) {
    this.row = row;
    this.#clock = clock;
    this.#random = random;
    this.budget = new RetryBudget(clock());
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  apply(row: RouteDeployment, replicaOf: (replica: RouteReplica, revision: RouteRevision) => LiveReplica): void {
    this.row = row;
    this.#revisions = row.revisions.map((revision) => ({
      revision,
      replicas: revision.replicas.map((replica) => replicaOf(replica, revision)),
    }));
    this.#serveWaiting();
  }

  /** A replica with a slot taken, at once or after a wait in the bounded queue; give it back with `release`. `waiting` is told how to leave. */
  acquire(tried: ReadonlySet<string>, waiting: (leave: () => void) => void): Grant | Promise<Grant> {
    const grant = this.#waiting.size > 0 ? null : this.#tryGrant(tried);
    if (grant) return grant;
    if (this.#waiting.size >= this.row.queueLimit) return { kind: 'full' };
    return new Promise((resolve) => {
      const waiter: Waiter = { tried, resolve };
      this.#waiting.add(waiter);
      waiting(() => {
        if (this.#waiting.delete(waiter)) resolve({ kind: 'none' });
      });
    });
  }

  release(replica: LiveReplica): void {
    replica.load.inFlight -= 1;
    this.#serveWaiting();
  }

  #serveWaiting(): void {
    for (const waiter of this.#waiting) {
      const grant = this.#tryGrant(waiter.tried);
      if (!grant) return;
      this.#waiting.delete(waiter);
      waiter.resolve(grant);
    }
  }

  #tryGrant(tried: ReadonlySet<string>): Grant | null {
    const choice = chooseReplica(this.#candidates(tried), this.#random.fraction());
    if (choice.kind === 'busy') return null;
    if (choice.kind === 'none') return { kind: 'none' };
    choice.candidate.replica.load.inFlight += 1;
    return { kind: 'replica', replica: choice.candidate.replica };
  }

  #candidates(
    tried: ReadonlySet<string>,
  ): CandidateRevision<{ replica: LiveReplica; inFlight: number; ejected: boolean; tried: boolean }>[] {
    const now = this.#clock();
    return this.#revisions.map(({ revision, replicas }) => ({
      revision,
      candidates: replicas.map((replica) => ({
        replica,
        inFlight: replica.load.inFlight,
        ejected: isEjected(replica.health, now),
        tried: tried.has(replica.id),
      })),
    }));
  }
}

/** Everything that the current table makes reachable. */
export class LiveDeployments {
  #index: RouteIndex = makeRouteIndex([]);
  #live = new Map<string, LiveDeployment>();
  #replicas = new Map<string, LiveReplica>();
  readonly #clock: () => Instant;
  readonly #random: Random;

  constructor(clock: () => Instant, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  get index(): RouteIndex {
    return this.#index;
  }

  get(deploymentId: string): LiveDeployment | undefined {
    return this.#live.get(deploymentId);
  }

  apply(table: RouteTable): void {
    const before = this.#replicas;
    const live = new Map<string, LiveDeployment>();
    this.#replicas = new Map();
    for (const row of table.deployments) {
      const deployment = this.#live.get(row.deploymentId) ?? new LiveDeployment(row, this.#clock, this.#random);
      deployment.apply(row, (replica, revision) => this.#replicaOf(replica, revision, before));
      live.set(row.deploymentId, deployment);
    }
    this.#index = makeRouteIndex(table.deployments);
    for (const [id, gone] of this.#live) if (!live.has(id)) gone.apply({ ...gone.row, revisions: [] }, unreachable);
    this.#live = live;
    const pools = new Set([...this.#replicas.values()].map((replica) => replica.pool));
    for (const old of before.values()) if (!pools.has(old.pool)) void old.pool.close().catch(() => undefined);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#replicas.values()].map((replica) => replica.pool.destroy()));
  }

  #replicaOf(row: RouteReplica, revision: RouteRevision, before: ReadonlyMap<string, LiveReplica>): LiveReplica {
    const old = before.get(row.replicaId);
    const same = old?.address === row.address ? old : null;
    const replica: LiveReplica = {
      id: row.replicaId,
      address: row.address,
      pool: same?.pool ?? makePool(row.address),
      health: same?.health ?? newHealth(),
      load: same?.load ?? { inFlight: 0 },
      revision,
      rate: row.ratePicoUsdPerHour === null ? null : BigInt(row.ratePicoUsdPerHour),
    };
    this.#replicas.set(row.replicaId, replica);
    return replica;
  }
}

const unreachable = (): never => {
  throw new Error('a deployment without revisions has no replicas');
};

const makePool = (address: string): Pool =>
  new Pool(`http://${address}`, {
    connectTimeout: CONNECT_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: 0,
    bodyTimeout: 0,
    pipelining: 1,
  });
