import { record } from '../events/event-log.ts';
import { mayDo, PLATFORM } from '../identity/authorize.ts';
import type { Caller } from '../identity/identity.service.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Cause, EventDraft, Json } from '../kernel/event.ts';
import { failure, notFound, type Failure } from '../kernel/failure.ts';
import { newId, type Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { invariant } from '../kernel/invariant.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Random } from '../kernel/random.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Command, Commands } from '../persistence/commands.ts';
import { changeCluster, type ClusterChanges, type ClusterEdit } from './change-cluster.ts';
import {
  clusterCordoned,
  clusterLost,
  clusterMoved,
  clusterRegistered,
  clusterRemoved,
  clusterUpdated,
  removalsApproved,
  type ClusterChange,
} from './cluster.events.ts';
import {
  checkCluster,
  checkSources,
  DEFAULT_POOL,
  isLost,
  LOCAL_CLUSTER,
  type CapacitySource,
  type Cluster,
  type ClusterConfig,
  type ClusterKind,
  type Pool,
  type PoolWish,
} from './cluster.ts';
import type { ClusterStore } from './cluster-store.port.ts';
import type { ClusterUse } from './cluster-use.port.ts';
import { poolChanged } from './node.events.ts';

export interface FleetDeps {
  readonly commands: Commands;
  readonly clock: Clock;
  readonly random: Random;
  readonly store: ClusterStore;
  readonly use: ClusterUse;
  /** Names of the providers that rent machines here; absent = any is believed. */
  readonly providers?: readonly string[];
  /** Told after a cluster came, changed or went, so that its loop is started, woken or stopped at once. */
  readonly onChange?: () => void;
}

/** A cluster to be registered. */
export interface ClusterWish {
  readonly name: string;
  readonly kind: Exclude<ClusterKind, 'local'>;
  /** Null only for simulated ones. */
  readonly config: ClusterConfig | null;
  readonly pools: readonly PoolWish[];
  /** Where its pools may rent machines. */
  readonly capacitySources?: readonly CapacitySource[];
}

/** A change of one cluster. */
interface Change {
  readonly clusterId: Id;
  readonly expectedVersion: number | null;
}

/** A change as it is asked for: what it is, and what must stand still meanwhile besides the cluster. */
interface Verb extends Change {
  readonly mutation: string;
  readonly locks?: 'pools';
  readonly cordoned?: boolean;
  readonly edit?: Json;
}

const BLANK = {
  ...{ cordoned: false, version: 1, rowVersion: 1, removedAt: null, observedAt: null, conditions: [] },
  ...{ heldRemovals: null, approvedRemovals: null, rebuilds: 0, rebuilt: 0 },
} as const;

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
    const wanted: Cluster = { ...BLANK, id: newId(at, random), name, kind: 'local', machineId, config: null, createdAt: at };
    if (await store.insertCluster(tx, wanted, REGISTRAR))
      record(tx, clusterRegistered({ before: null, after: wanted, at, principal: REGISTRAR }));
    const found = await store.cluster(tx, { name });
    invariant(found?.kind === 'local', `a cluster named ${name} exists and is not local`);
    const cluster = found.machineId === machineId ? found : await this.#move(tx, found, machineId);
    const anyNode = { name: DEFAULT_POOL, capacityType: 'on_demand' as const, offeringId: null, nodeSelector: {} };
    const pool = newPool(anyNode, cluster.id, { at, random });
    await store.insertPool(tx, pool, REGISTRAR);
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

  /** Those of them that were taken out and whose machines are still being given back. */
  async leavingPools(tx: Transaction, clusterIds: readonly Id[]): Promise<Pool[]> {
    return (await this.#deps.store.rentedPools(tx, clusterIds)).filter(({ removedAt }) => removedAt !== null);
  }

  /** Null for absent and for forbidden. */
  async pool(tx: Transaction, principal: Principal, id: Id): Promise<Pool | null> {
    return mayDo(principal, 'cluster.read', PLATFORM) ? this.#deps.store.pool(tx, id) : null;
  }

  /**
   * Registers a cluster with its pools; its loop starts soon after. Failures: NOT_FOUND (the caller may not), INVALID_INPUT,
   * ALREADY_EXISTS.
   */
  register(caller: Caller, wish: ClusterWish): Promise<Result<{ clusterId: Id }, Failure>> {
    const body = JSON.parse(JSON.stringify(wish)) as Json;
    return this.#run({ ...caller, mutation: 'registerCluster', body }, async (tx) => {
      if (!mayDo(caller.principal, 'cluster.write', PLATFORM)) return err(notFound('platform'));
      const wrong = checkCluster(wish.name, wish.config, wish.pools) ?? this.#refuseSources(wish.capacitySources);
      if (wrong) return err(wrong);
      const { store, clock, random } = this.#deps;
      const { name, kind, config, capacitySources = [] } = wish;
      const at = clock.now();
      const known = { id: newId(at, random), name, kind, machineId: null, config, createdAt: at };
      const after: Cluster = { ...BLANK, ...known, ...(capacitySources.length > 0 ? { capacitySources } : {}) };
      const principal = caller.principal.id;
      if (!(await store.insertCluster(tx, after, principal)))
        return err(failure('ALREADY_EXISTS', 'There is a cluster of this name.', { path: ['input', 'name'] }));
      for (const pool of wish.pools) await store.insertPool(tx, newPool(pool, after.id, { at, random }), principal);
      record(tx, clusterRegistered({ before: null, after, at, principal }));
      return ok({ clusterId: after.id });
    });
  }

  /** Forgets a cluster once nothing is wished or left there. Failures: NOT_FOUND, CONFLICT, PRECONDITION_FAILED. */
  remove(caller: Caller, input: Change): Promise<Result<{ clusterId: Id }, Failure>> {
    return this.#change(caller, { ...input, mutation: 'removeCluster', locks: 'pools' }, async (tx, before, cause) => {
      const left = await this.#deps.use.workloads(tx, before.id);
      if (before.kind === 'local')
        return err(failure('PRECONDITION_FAILED', 'The local cluster goes with its control plane (PURSER_LOCAL_CLUSTER=0).'));
      if (left > 0) {
        const message = `${left} ${left === 1 ? 'workload is' : 'workloads are'} still there or wished there.`;
        return err(failure('PRECONDITION_FAILED', message, { hint: 'Cordon it, and deploy or delete what is placed there.' }));
      }
      const rented = await this.#deps.store.rentedPools(tx, [before.id]);
      if (rented.length > 0) {
        const message = `Machines are rented for ${rented.map(({ name }) => name).join(', ')}.`;
        const hint = 'Take these pools out first (updateCluster, removePools): their machines are given back then.';
        return err(failure('PRECONDITION_FAILED', message, { hint }));
      }
      // Whoever waits to place something there finds that they are gone.
      const pools = await this.#deps.store.pools(tx, [before.id]);
      for (const pool of pools) await this.#deps.store.updatePool(tx, removedPool(pool, cause), cause);
      const after = { ...before, removedAt: cause.at };
      return ok({ after, event: clusterRemoved });
    });
  }

  /**
   * Changes how a cluster is reached, what it is told, or its pools; its loop goes on with that at once. A pool can be taken out once nothing is
   * wished or left there. Failures: NOT_FOUND, CONFLICT, INVALID_INPUT, PRECONDITION_FAILED.
   */
  update(
    caller: Caller,
    { edit, ...input }: Change & { readonly edit: ClusterEdit },
  ): Promise<Result<{ clusterId: Id }, Failure>> {
    const body = JSON.parse(JSON.stringify(edit)) as Json;
    return this.#change(
      caller,
      { ...input, mutation: 'updateCluster', edit: body, locks: 'pools' },
      async (tx, before, cause) => {
        const { store, use } = this.#deps;
        const wrong = this.#refuseSources(edit.capacitySources);
        if (wrong) return err(wrong);
        const pools = await store.pools(tx, [before.id]);
        const leaving = await this.leavingPools(tx, [before.id]);
        const ids = pools.map(({ id }) => id);
        const changes = changeCluster({ cluster: before, pools, leaving, used: await use.workloadsOfPools(tx, ids) }, edit);
        if (!changes.ok) return changes;
        const { config, capacitySources, parts } = changes.value;
        if (parts.length === 0) return ok(null);
        await this.#writePools(tx, before.id, changes.value, cause);
        return ok({ after: { ...before, config, capacitySources }, event: (change) => clusterUpdated(change, parts) });
      },
    );
  }

  #refuseSources(sources: readonly CapacitySource[] | null | undefined): Failure | null {
    return sources ? checkSources(sources, this.#deps.providers ?? null) : null;
  }

  async #writePools(tx: Transaction, clusterId: Id, { added, changed, removed }: ClusterChanges, cause: Cause): Promise<void> {
    const { store, random } = this.#deps;
    for (const wish of added) {
      const pool = newPool(wish, clusterId, { at: cause.at, random });
      await store.insertPool(tx, pool, cause.principal);
      record(tx, poolChanged(null, pool, cause));
    }
    const gone = removed.map((before) => ({ before, after: removedPool(before, cause) }));
    for (const { before, after } of [...changed, ...gone]) {
      await store.updatePool(tx, after, cause);
      record(tx, poolChanged(before, after, cause));
    }
  }

  /** Stops (or allows again) new placements; what runs there runs on. */
  cordon(caller: Caller, input: Change & { readonly cordoned: boolean }): Promise<Result<{ clusterId: Id }, Failure>> {
    return this.#change(caller, { ...input, mutation: 'cordonCluster' }, (_tx, before) =>
      Promise.resolve(
        ok(
          before.cordoned === input.cordoned ? null : { after: { ...before, cordoned: input.cordoned }, event: clusterCordoned },
        ),
      ),
    );
  }

  /**
   * Says that a cluster will not come back (or that it did): nothing new is placed there, and what is wished there is wished elsewhere by the
   * deployments themselves. Only somebody who knows says so: that it cannot be seen says nothing.
   */
  declareLost(
    caller: Caller,
    { lost, ...input }: Change & { readonly lost: boolean },
  ): Promise<Result<{ clusterId: Id }, Failure>> {
    return this.#change(caller, { ...input, mutation: 'declareClusterLost', edit: { lost } }, (_tx, before, { at }) => {
      if (before.kind === 'local')
        return Promise.resolve(err(failure('PRECONDITION_FAILED', 'This machine answers: it is not lost.')));
      const after = { ...before, lostAt: lost ? at : null, cordoned: lost };
      return Promise.resolve(ok(isLost(before) === lost ? null : { after, event: clusterLost }));
    });
  }

  /**
   * Lets the loop remove what it holds back there: exactly the set that `digest` names. Failures: NOT_FOUND, CONFLICT (another set is
   * held now), PRECONDITION_FAILED (none is).
   */
  approveRemovals(caller: Caller, input: Change & { readonly digest: string }): Promise<Result<{ clusterId: Id }, Failure>> {
    return this.#run({ ...caller, mutation: 'approveRemovals', body: { ...input } }, async (tx) => {
      const before = await this.#locked(tx, caller, input.clusterId);
      if (!before) return err(notFound('cluster', ['input', 'cluster']));
      const stale = refuseStale(before, input);
      if (stale) return err(stale);
      const { heldRemovals: held } = before;
      if (!held) return err(failure('PRECONDITION_FAILED', 'Nothing waits for approval there.'));
      if (held.digest !== input.digest)
        return err(failure('CONFLICT', 'Something else is held back there now: look again.', { path: ['input', 'digest'] }));
      const after = { ...before, approvedRemovals: held.workloadIds, heldRemovals: null, rowVersion: before.rowVersion + 1 };
      await this.#deps.store.updateStatus(tx, after);
      record(tx, removalsApproved({ before, after, at: this.#deps.clock.now(), principal: caller.principal.id }));
      return ok({ clusterId: before.id });
    });
  }

  /** Runs a change that somebody asked for; null = it is so already. */
  #change(
    caller: Caller,
    { mutation, locks, ...input }: Verb,
    decide: (
      tx: Transaction,
      before: Cluster,
      cause: Cause,
    ) => Promise<Result<{ after: Cluster; event: (change: ClusterChange) => EventDraft } | null, Failure>>,
  ): Promise<Result<{ clusterId: Id }, Failure>> {
    return this.#run({ ...caller, mutation, body: { ...input } }, async (tx) => {
      if (locks) await this.#lockPools(tx, caller, input.clusterId);
      const before = await this.#locked(tx, caller, input.clusterId);
      if (!before) return err(notFound('cluster', ['input', 'cluster']));
      const stale = refuseStale(before, input);
      if (stale) return err(stale);
      const cause = { at: this.#deps.clock.now(), principal: caller.principal.id };
      const decided = await decide(tx, before, cause);
      if (!decided.ok) return decided;
      if (!decided.value) return ok({ clusterId: before.id });
      const after = { ...decided.value.after, version: before.version + 1, rowVersion: before.rowVersion + 1 };
      await this.#deps.store.updateCluster(tx, after, cause);
      record(tx, decided.value.event({ before, after, ...cause }));
      return ok({ clusterId: before.id });
    });
  }

  async #run<O extends Json>(
    command: Command,
    body: (tx: Transaction) => Promise<Result<O, Failure>>,
  ): Promise<Result<O, Failure>> {
    const outcome = await this.#deps.commands.run(command, body);
    if (outcome.ok) this.#deps.onChange?.();
    return outcome;
  }

  /** Before the cluster: whoever places something there has its pools first. */
  async #lockPools(tx: Transaction, { principal }: Caller, clusterId: Id): Promise<void> {
    if (!mayDo(principal, 'cluster.write', PLATFORM)) return;
    const { store } = this.#deps;
    const ids = (await store.pools(tx, [clusterId])).map(({ id }) => id);
    await store.lockPools(tx, ids, 'change');
  }

  async #locked(tx: Transaction, { principal }: Caller, id: Id): Promise<Cluster | null> {
    return mayDo(principal, 'cluster.write', PLATFORM) ? this.#deps.store.lockCluster(tx, id) : null;
  }

  async #move(tx: Transaction, before: Cluster, machineId: string): Promise<Cluster> {
    const after = { ...before, machineId, version: before.version + 1, rowVersion: before.rowVersion + 1 };
    const cause = { at: this.#deps.clock.now(), principal: REGISTRAR };
    await this.#deps.store.updateCluster(tx, after, cause);
    record(tx, clusterMoved({ before, after, ...cause }));
    return after;
  }
}

const newPool = (wish: PoolWish, clusterId: Id, { at, random }: { readonly at: Instant; readonly random: Random }): Pool => ({
  ...wish,
  ...{ id: newId(at, random), clusterId, version: 1, createdAt: at, removedAt: null },
});

const removedPool = (pool: Pool, { at }: Cause): Pool => ({ ...pool, version: pool.version + 1, removedAt: at });

const refuseStale = ({ version }: Cluster, { expectedVersion }: Change): Failure | null =>
  expectedVersion === null || expectedVersion === version
    ? null
    : failure('CONFLICT', `The cluster is at version ${version} now: read it again.`, { path: ['expectedVersion'] });
