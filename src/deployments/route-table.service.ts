import type { ClusterStore } from '../fleet/cluster-store.port.ts';
import { isUnreachable } from '../fleet/cluster.ts';
import type { EventLog } from '../events/event-log.ts';
import type { CredentialsService } from '../identity/credentials.service.ts';
import type { Clock } from '../kernel/clock.ts';
import { digestOf } from '../kernel/digest.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Random } from '../kernel/random.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import type { PricesService } from '../pricing/prices.service.ts';
import { Loop } from '../reconcile/loop.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { RouteTableSource } from '../traffic/route-table-source.port.ts';
import type { RouteTable } from '../traffic/router-contract/route-table.ts';
import type { DeploymentStore } from './deployment-store.port.ts';
import { DELETION_KEPT_MS, makeRouteTable, type RouteTableContent } from './make-route-table.ts';
import { isServing } from './observe-replicas.ts';
import { isHeld, type Replica, type Workload } from './replica.ts';
import type { ReplicaRates } from './replica-rates.port.ts';
import type { LogPosition, RouteTableStore, TableVersion } from './route-table-store.port.ts';

export interface RouteTableDeps {
  readonly database: Database;
  readonly store: DeploymentStore;
  readonly versions: RouteTableStore;
  readonly clusters: Pick<ClusterStore, 'clustersByIds'>;
  readonly credentials: Pick<CredentialsService, 'forRouteTable' | 'keys'>;
  readonly prices: Pick<PricesService, 'believedAt'>;
  /** Absent: no cluster has nodes that are shared. */
  readonly replicaRates?: ReplicaRates;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Tells of commits of other instances; absent: they are looked for now and then. */
  readonly events?: Pick<EventLog, 'onNumbered'>;
  /** Told when something was found committed, whether or not it changes the table. */
  readonly onMoved?: () => void;
}

const SCOPE: Scope = { kind: 'reconciler', loop: 'route-table' };
/** How often commits are looked for that nobody told of. Higher lets a revoked token live longer than the second that is promised. */
const CHECK_MS = 500;
/** The table is made anew this often even if nothing was recorded: prices that come into force. */
const REMAKE_MS = 30_000;
/** Tables in a row that another instance overtook. Higher: many busy instances chase each other; lower: an honest race is a failure. */
const MAX_LOST = 10;

/** A table as one snapshot of the database has it. */
interface MadeTable {
  readonly position: LogPosition;
  readonly jwks: string | null;
  readonly content: RouteTableContent;
  readonly digest: string;
  /** The newest number in that snapshot, and the table that has it. */
  readonly last: TableVersion;
}

/** Holds the route table as it is now; makes a new one when something was committed, here or by another instance. */
export class RouteTableService implements RouteTableSource {
  readonly #deps: RouteTableDeps;
  readonly #loop: Loop;
  readonly #listeners = new Set<() => void>();
  #table: RouteTable | null = null;
  #seen: LogPosition | null = null;
  #madeAt: Instant = 0;
  /** The issuer's keys that the table was made with. */
  #jwks: string | null = null;
  #stopHearing: readonly (() => void)[] = [];

  constructor(deps: RouteTableDeps) {
    this.#deps = deps;
    const backoff = { baseMs: 200, maxMs: CHECK_MS };
    this.#loop = new Loop({ ...deps, name: 'route table', everyMs: CHECK_MS, body: () => this.refresh(), backoff });
  }

  start(): void {
    if (this.#stopHearing.length > 0) return;
    const wake = (): void => this.#loop.wake();
    this.#stopHearing = [this.#deps.database.onRecorded(wake), this.#deps.events?.onNumbered(wake) ?? (() => undefined)];
    this.#loop.start();
  }

  async stop(): Promise<void> {
    for (const end of this.#stopHearing) end();
    await this.#loop.stop();
  }

  current(): RouteTable | null {
    return this.#table;
  }

  changed(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  everRouted(replicaIds: readonly Id[]): Promise<ReadonlySet<Id>> {
    return this.#deps.database.read(SCOPE, (tx) => this.#deps.store.everServed(tx, replicaIds));
  }

  /** Makes the table anew if something was committed since; a steady state reads one row. */
  async refresh(): Promise<void> {
    for (let lost = 0; lost < MAX_LOST; lost += 1) {
      const now = this.#deps.clock.now();
      const made = await this.#deps.database.read(SCOPE, (tx) => this.#makeIfDue(tx, now));
      if (!made || (await this.#adopt(made, now))) return;
    }
    throw new Error(`${MAX_LOST} tables in a row were overtaken by another instance's`);
  }

  /** Null = nothing was committed since. */
  async #makeIfDue(tx: Transaction, now: Instant): Promise<MadeTable | null> {
    const { versions, credentials, onMoved } = this.#deps;
    const position = await versions.position(tx);
    const moved = this.#seen?.committed !== position.committed || this.#seen.epoch !== position.epoch;
    if (moved) onMoved?.();
    const jwks = credentials.keys();
    if (!moved && jwks === this.#jwks && now - this.#madeAt < REMAKE_MS) return null;
    const content = await this.#content(tx, now, jwks);
    return { position, jwks, content, digest: digestOf(JSON.stringify(content)), last: await versions.version(tx) };
  }

  /**
   * Publishes it, a changed one under the next number. False if another instance gave that number meanwhile. Whoever gets a number has read
   * the one before in the snapshot of its content, so that a higher number is never an older world.
   */
  async #adopt({ position, jwks, content, digest, last }: MadeTable, now: Instant): Promise<boolean> {
    const isNew = digest !== last.digest;
    const n = isNew ? last.n + 1 : last.n;
    const { database, versions } = this.#deps;
    if (isNew && !(await database.write(SCOPE, (tx) => versions.saveVersion(tx, { n, digest })))) return false;
    this.#seen = position;
    this.#madeAt = now;
    this.#jwks = jwks;
    this.#publish({ ...content, version: { epoch: position.epoch, n }, madeAt: now });
    return true;
  }

  async #content(tx: Transaction, now: Instant, jwks: string | null): Promise<RouteTableContent> {
    const { store, prices, credentials, replicaRates } = this.#deps;
    const deployments = await store.liveDeployments(tx);
    const ids = deployments.map(({ id }) => id);
    const replicas = await store.replicas(tx, ids);
    const workloads = await store.workloads(tx, ids);
    const waking = wakingIn(workloads, replicas);
    const priced = await prices.believedAt(tx, [...new Set(replicas.map(({ offeringId }) => offeringId))], now);
    return makeRouteTable({
      deployments,
      deleted: await store.deletedSince(tx, now - DELETION_KEPT_MS),
      revisions: await store.revisions(tx, ids),
      rollouts: await store.rollouts(tx, ids),
      workloads,
      replicas,
      ...(await this.#clusters(tx, replicas)),
      startsMs: waking.length === 0 ? new Map() : await this.#deps.versions.startsMs(tx, waking),
      rates: new Map([...priced].map(([id, row]) => [id, row.effective])),
      ...(replicaRates && { replicaRates: await replicaRates.ratesOf(tx, heldIds(replicas), now) }),
      ...(await credentials.forRouteTable(tx, now, jwks)),
    });
  }

  async #clusters(tx: Transaction, replicas: readonly Replica[]) {
    const rows = await this.#deps.clusters.clustersByIds(tx, [...new Set(replicas.map(({ clusterId }) => clusterId))]);
    return {
      clusterNames: new Map(rows.map(({ id, name }) => [id, name])),
      unreachable: new Set(rows.filter(isUnreachable).map(({ id }) => id)),
    };
  }

  #publish(table: RouteTable): void {
    const same = this.#table?.version.n === table.version.n && this.#table.version.epoch === table.version.epoch;
    this.#table = table;
    if (!same) for (const listener of this.#listeners) listener();
  }
}

/** Deployments that are to have replicas and have none that serves. */
function wakingIn(workloads: readonly Workload[], replicas: readonly Replica[]): Id[] {
  const serving = new Set(replicas.filter(isServing).map(({ deploymentId }) => deploymentId));
  const wished = workloads.filter(({ removedAt, replicas: count }) => removedAt === null && count > 0);
  return [...new Set(wished.map(({ deploymentId }) => deploymentId))].filter((id) => !serving.has(id));
}

const heldIds = (replicas: readonly Replica[]): Id[] => replicas.filter(isHeld).map(({ id }) => id);
