import { record } from '../events/event-log.ts';
import { mayDo, PLATFORM } from '../identity/authorize.ts';
import type { Caller } from '../identity/identity.service.ts';
import type { Clock } from '../kernel/clock.ts';
import { failure, notFound, type Failure } from '../kernel/failure.ts';
import { newId, type Id } from '../kernel/id.ts';
import { invariant } from '../kernel/invariant.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Random } from '../kernel/random.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Commands } from '../persistence/commands.ts';
import { clusterCordoned, clusterMoved, clusterRegistered } from './cluster.events.ts';
import { DEFAULT_POOL, LOCAL_CLUSTER, type Cluster, type Pool } from './cluster.ts';
import type { ClusterStore } from './cluster-store.port.ts';

export interface FleetDeps {
  readonly commands: Commands;
  readonly clock: Clock;
  readonly random: Random;
  readonly store: ClusterStore;
}

const REGISTRAR = 'reconciler:fleet';

/** Clusters and pools: where replicas may run. */
export class FleetService {
  readonly #deps: FleetDeps;

  constructor(deps: FleetDeps) {
    this.#deps = deps;
  }

  /**
   * The local cluster and its default pool, made where they are missing; instances that start at once make them once. When the
   * machine differs from the registered one, the data has moved and the cluster with it.
   */
  async ensureLocalCluster(
    tx: Transaction,
    { machineId, name = LOCAL_CLUSTER }: { readonly machineId: string; readonly name?: string },
  ): Promise<{ readonly cluster: Cluster; readonly pool: Pool }> {
    const { store, clock, random } = this.#deps;
    const at = clock.now();
    const blank = { cordoned: false, version: 1, createdAt: at, removedAt: null, observedAt: null, conditions: [] };
    const wanted: Cluster = { id: newId(at, random), name, kind: 'local', machineId, ...blank };
    if (await store.insertCluster(tx, wanted, REGISTRAR))
      record(tx, clusterRegistered({ before: null, after: wanted, at, principal: REGISTRAR }));
    const found = await store.cluster(tx, { name });
    invariant(found?.kind === 'local', `a cluster named ${name} exists and is not local`);
    const cluster = found.machineId === machineId ? found : await this.#move(tx, found, machineId);
    const pool: Pool = {
      id: newId(at, random),
      clusterId: cluster.id,
      name: DEFAULT_POOL,
      capacityType: 'on_demand',
      offeringId: null,
      nodeSelector: {},
      version: 1,
      createdAt: at,
    };
    await store.insertPool(tx, pool);
    const stored = (await store.pools(tx, [cluster.id])).find((one) => one.name === DEFAULT_POOL);
    return { cluster, pool: stored ?? pool };
  }

  /** Null for absent and for forbidden. */
  async cluster(
    tx: Transaction,
    principal: Principal,
    by: { readonly id: Id } | { readonly name: string },
  ): Promise<Cluster | null> {
    return mayDo(principal, 'cluster.read', PLATFORM) ? this.#deps.store.cluster(tx, by) : null;
  }

  /** One page by name; empty for those who may not see clusters. */
  async clusters(tx: Transaction, principal: Principal, page: { readonly after: string | null; readonly first: number }) {
    if (!mayDo(principal, 'cluster.read', PLATFORM)) return { items: [], hasNextPage: false };
    const rows = await this.#deps.store.clusters(tx, { after: page.after, limit: page.first });
    return { items: rows.slice(0, page.first), hasNextPage: rows.length > page.first };
  }

  /** The pools of clusters that the caller has been given. */
  pools(tx: Transaction, clusterIds: readonly Id[]): Promise<Pool[]> {
    return this.#deps.store.pools(tx, clusterIds);
  }

  /** Null for absent and for forbidden. */
  async pool(tx: Transaction, principal: Principal, id: Id): Promise<Pool | null> {
    return mayDo(principal, 'cluster.read', PLATFORM) ? this.#deps.store.pool(tx, id) : null;
  }

  /** Stops (or allows again) new placements; what runs there runs on. */
  cordon(
    caller: Caller,
    input: { readonly clusterId: Id; readonly cordoned: boolean; readonly expectedVersion: number | null },
  ): Promise<Result<{ clusterId: Id }, Failure>> {
    return this.#deps.commands.run({ ...caller, mutation: 'cordonCluster', body: input }, async (tx) => {
      const before = mayDo(caller.principal, 'cluster.write', PLATFORM)
        ? await this.#deps.store.lockCluster(tx, input.clusterId)
        : null;
      if (!before) return err(notFound('cluster', ['input', 'cluster']));
      if (input.expectedVersion !== null && input.expectedVersion !== before.version) {
        return err(
          failure('CONFLICT', `The cluster is at version ${before.version} now: read it again.`, { path: ['expectedVersion'] }),
        );
      }
      if (before.cordoned === input.cordoned) return ok({ clusterId: before.id });
      const after = { ...before, cordoned: input.cordoned, version: before.version + 1 };
      const cause = { at: this.#deps.clock.now(), principal: caller.principal.id };
      await this.#deps.store.updateCluster(tx, after, cause);
      record(tx, clusterCordoned({ before, after, ...cause }));
      return ok({ clusterId: before.id });
    });
  }

  async #move(tx: Transaction, before: Cluster, machineId: string): Promise<Cluster> {
    const after = { ...before, machineId, version: before.version + 1 };
    const cause = { at: this.#deps.clock.now(), principal: REGISTRAR };
    await this.#deps.store.updateCluster(tx, after, cause);
    record(tx, clusterMoved({ before, after, ...cause }));
    return after;
  }
}
