import { Pool } from 'undici';
import type { Random } from '../kernel/random.ts';
import type { Instant } from '../kernel/instant.ts';
import type { RouteDeployment, RouteReplica, RouteRevision, RouteTable } from '../traffic/router-contract/route-table.ts';
import { chooseReplica, type Candidate, type CandidateRevision, type Rank } from './choose-replica.ts';
import { makeRouteIndex, type RouteIndex } from './match-route.ts';
import { isEjected, newHealth, type Health } from './outlier-ejection.ts';
import { RetryBudget } from './retry-budget.ts';

/** A replica that does not take a connection in this time is dead. Higher: callers wait; lower: a busy machine looks dead. */
const CONNECT_TIMEOUT_MS = 2_000;
/** Nor in this part of the deadline, so that there is time left for another one. Lower: less is left; higher: a busy machine looks dead. */
const CONNECT_PARTS = 4;
/** Idle connections to replicas are kept this long. Longer than most servers keep them would send into closed sockets. */
const KEEP_ALIVE_MS = 4_000;

export interface LiveReplica {
  readonly id: string;
  readonly address: string;
  readonly pool: Pool;
  readonly connectMs: number;
  readonly health: Health;
  readonly revision: RouteRevision;
  readonly rate: bigint | null;
  readonly load: { inFlight: number };
  /** Of its group; null where replicas are alike. */
  readonly rank: Rank | null;
}

/** Where a replica stands in its deployment. */
interface Place {
  readonly revision: RouteRevision;
  readonly rank: Rank | null;
  readonly connectMs: number;
}

interface Waiter {
  readonly tried: ReadonlySet<string>;
  readonly resolve: (grant: Grant) => void;
}

export type Grant =
  | { readonly kind: 'replica'; readonly replica: LiveReplica }
  /** As many as may wait are waiting. */
  | { readonly kind: 'full' }
  /** There is no replica and nothing that waiting would bring. */
  | { readonly kind: 'none' }
  /** It is scaled to 0, and somebody has to wake it. */
  | { readonly kind: 'asleep' };

/** The place of those whose group is not listed. */
const UNLISTED: Rank = { weight: 0, order: 0 };

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

  apply(row: RouteDeployment, replicaOf: (replica: RouteReplica, place: Place) => LiveReplica): void {
    this.row = row;
    const groups = row.groups ?? [];
    const ranks = groups.length === 0 ? null : new Map<string, Rank>(groups.map((group) => [group.name, group]));
    const rankOf = ({ group = '' }: RouteReplica): Rank | null => ranks && (ranks.get(group) ?? UNLISTED);
    const connectMs = Math.min(CONNECT_TIMEOUT_MS, Math.ceil(row.deadlineMs / CONNECT_PARTS));
    this.#revisions = row.revisions.map((revision) => ({
      revision,
      replicas: revision.replicas.map((replica) => replicaOf(replica, { revision, rank: rankOf(replica), connectMs })),
    }));
    this.#serveWaiting();
  }

  /** Seconds until a replica is probably ready, at least 1; null unless requests are held until one is. */
  get wakesInS(): number | null {
    const { wake } = this.row;
    if (!wake || wake.wished === 0 || this.#revisions.some(({ replicas }) => replicas.length > 0)) return null;
    const now = this.#clock();
    const leftMs = (wake.since ?? now) + (wake.etaMs ?? 0) - now;
    return Math.max(1, Math.ceil(leftMs / 1000));
  }

  /**
   * A replica with a slot taken, at once or after a wait in the bounded queue, for a free slot or for a first replica that is on its
   * way; give it back with `release`. `waiting` is told how to leave.
   */
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
    if (choice.kind === 'none') return this.#withoutReplica();
    choice.candidate.replica.load.inFlight += 1;
    return { kind: 'replica', replica: choice.candidate.replica };
  }

  /** A replica that gets traffic, was not tried and is not known to be dead. */
  hasUntried(tried: ReadonlySet<string>): boolean {
    const now = this.#clock();
    const isFresh = ({ id, health }: LiveReplica): boolean => !tried.has(id) && !isEjected(health, now);
    return this.#revisions.some(({ revision, replicas }) => revision.weight > 0 && replicas.some(isFresh));
  }

  /** Null = wait for the one that is on its way. */
  #withoutReplica(): Grant | null {
    const { wake } = this.row;
    if (!wake) return { kind: 'none' };
    return wake.wished > 0 ? null : { kind: 'asleep' };
  }

  #candidates(tried: ReadonlySet<string>): CandidateRevision<Candidate & { readonly replica: LiveReplica }>[] {
    const now = this.#clock();
    return this.#revisions.map(({ revision, replicas }) => ({
      revision,
      candidates: replicas.map((replica) => ({
        replica,
        inFlight: replica.load.inFlight,
        ejected: isEjected(replica.health, now),
        tried: tried.has(replica.id),
        rank: replica.rank,
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
      deployment.apply(row, (replica, place) => this.#replicaOf(replica, place, before));
      live.set(row.deploymentId, deployment);
    }
    this.#index = makeRouteIndex(table.deployments);
    for (const [id, gone] of this.#live)
      if (!live.has(id)) gone.apply({ ...gone.row, revisions: [], wake: undefined }, unreachable);
    this.#live = live;
    const pools = new Set([...this.#replicas.values()].map((replica) => replica.pool));
    for (const old of before.values()) if (!pools.has(old.pool)) void old.pool.close().catch(() => undefined);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#replicas.values()].map((replica) => replica.pool.destroy()));
  }

  /** A replica is known by its id: who comes to an address where another one was starts with a clean record and connections of its own. */
  #replicaOf(row: RouteReplica, { revision, rank, connectMs }: Place, before: ReadonlyMap<string, LiveReplica>): LiveReplica {
    const old = before.get(row.replicaId);
    const same = old?.address === row.address ? old : null;
    const replica: LiveReplica = {
      id: row.replicaId,
      address: row.address,
      pool: same?.connectMs === connectMs ? same.pool : makePool(row.address, connectMs),
      connectMs,
      health: same?.health ?? newHealth(),
      load: same?.load ?? { inFlight: 0 },
      rank,
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

const makePool = (address: string, connectTimeout: number): Pool =>
  new Pool(`http://${address}`, {
    connectTimeout,
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: 0,
    bodyTimeout: 0,
    pipelining: 1,
  });
