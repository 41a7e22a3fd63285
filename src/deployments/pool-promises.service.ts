import { record } from '../events/event-log.ts';
import type { ClusterStore } from '../fleet/cluster-store.port.ts';
import type { Pool } from '../fleet/cluster.ts';
import { poolScalingChanged } from '../fleet/node.events.ts';
import type { NodeStore } from '../fleet/node-store.port.ts';
import type { PoolScaling } from '../fleet/node.ts';
import type { Cause } from '../kernel/event.ts';
import { failure, type Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { DeploymentStore } from './deployment-store.port.ts';
import { heldThen, isMade, machinesByPool, othersIn, poolsOf, type PoolsThere, type Source } from './rented-pool.ts';
import type { Workload } from './replica.ts';

export interface PoolPromisesDeps {
  readonly store: Pick<DeploymentStore, 'machinesIn'>;
  readonly clusters: Pick<ClusterStore, 'clustersByIds' | 'pools' | 'rentedPools' | 'lockSources'>;
  readonly nodes: Pick<NodeStore, 'scalings' | 'saveScaling' | 'lockScaling'>;
}

/** Of one deployment: where its replicas are, and where they shall be. */
export interface MachineClaim {
  readonly before: readonly Placed[];
  readonly after: readonly Placed[];
}

type Placed = Pick<Workload, 'poolId' | 'replicas' | 'perMachine'> & { readonly clusterId: Id };

/**
 * What pools hold of what sources may rent follows from what is wished for there and from the machines that there are. So nobody must give anything back:
 * a pool of which nobody wishes anything holds nothing, and one that several deployments share holds what all of them need.
 */
export class PoolPromises {
  readonly #deps: PoolPromisesDeps;

  constructor(deps: PoolPromisesDeps) {
    this.#deps = deps;
  }

  /** Pools of these clusters with what is wished for there, by every team. */
  async look(tx: Transaction, clusterIds: readonly Id[]): Promise<PoolsThere> {
    const { store, clusters, nodes } = this.#deps;
    const pools = await clusters.pools(tx, clusterIds);
    const leaving = (await clusters.rentedPools(tx, clusterIds)).filter(({ removedAt }) => removedAt !== null);
    const ids = [...pools, ...leaving].map(({ id }) => id);
    const scalings = new Map((await nodes.scalings(tx, ids)).map((one) => [one.poolId, one]));
    return { pools, leaving, scalings, machines: await store.machinesIn(tx, ids) };
  }

  /**
   * Null = sources have what pools grow by, and these may grow so far; the caller writes that they do in the same transaction. Without a cause it is only
   * looked at. What does not grow asks nobody. Failure: NO_CAPACITY.
   */
  async claim(tx: Transaction, { before, after }: MachineClaim, cause: Cause | null): Promise<Failure | null> {
    const [own, wanted] = [machinesByPool(before), machinesByPool(after)];
    const growing = after.filter(({ poolId }) => (wanted.get(poolId) ?? 0) > (own.get(poolId) ?? 0));
    if (growing.length === 0) return null;
    const { clusters: table } = this.#deps;
    if (cause) await table.lockSources(tx);
    const clusters = await table.clustersByIds(tx, [...new Set(growing.map(({ clusterId }) => clusterId))]);
    const there = await this.look(
      tx,
      clusters.map(({ id }) => id),
    );
    const sources = clusters.flatMap((cluster) =>
      (cluster.capacitySources ?? []).map((source) => ({
        key: `${cluster.name} ${source.provider} ${source.region}`,
        cluster,
        source,
      })),
    );
    const grown = new Set(growing.map(({ poolId }) => poolId));
    const short = sources.map((source) => shortIn(source, there, { own, wanted, grown })).find((one) => one !== null);
    if (short) return short;
    if (cause) for (const poolId of grown) await this.#raise(tx, poolId, { there, own, wanted }, cause);
    return null;
  }

  async #raise(
    tx: Transaction,
    poolId: Id,
    { there, own, wanted }: { readonly there: PoolsThere; readonly own: Machines; readonly wanted: Machines },
    cause: Cause,
  ): Promise<void> {
    const pool = there.pools.find(({ id }) => id === poolId);
    const scaling = there.scalings.get(poolId);
    if (!pool || !scaling || !isMade(pool)) return;
    const needed = othersIn(there, own, pool) + (wanted.get(poolId) ?? 0);
    if (scaling.maxNodes < needed) await this.allow(tx, pool, { ...scaling, maxNodes: needed }, cause);
  }

  /**
   * How far a pool may grow from now on: one that was made for its replicas exactly so far, or as far as it has grown already; one that a person made at
   * least so far.
   */
  async allow(
    tx: Transaction,
    pool: Pool,
    { provider, config, minNodes, maxNodes }: AllowedScaling,
    cause: Cause,
  ): Promise<void> {
    const before = await this.#deps.nodes.lockScaling(tx, pool.id);
    const known = before ?? { ...BLANK, poolId: pool.id, minNodes, maxNodes };
    const least = isMade(pool) ? Math.max(known.minNodes, known.desiredNodes ?? 0) : known.maxNodes;
    const allowed = Math.max(maxNodes, least);
    if (before?.maxNodes === allowed) return;
    const after: PoolScaling = { ...known, provider, config, maxNodes: allowed, version: known.version + 1 };
    await this.#deps.nodes.saveScaling(tx, after, cause);
    record(tx, poolScalingChanged(before, after, { ...cause, pool }));
  }
}

type Machines = ReadonlyMap<Id, number>;
type AllowedScaling = Pick<PoolScaling, 'provider' | 'config' | 'minNodes' | 'maxNodes'>;

const BLANK = { desiredNodes: null, scaledAt: null, conditions: [], emptying: null, emptiedAt: null, version: 0 };

/** Why a source cannot give what its pools grow by; null = it can, or none of them grows. */
function shortIn(
  from: Source,
  there: PoolsThere,
  { own, wanted, grown }: { readonly own: Machines; readonly wanted: Machines; readonly grown: ReadonlySet<Id> },
): Failure | null {
  const its = poolsOf(from, there);
  if (!its.some(({ id }) => grown.has(id))) return null;
  const { cluster, source } = from;
  const needed = its.reduce((all, pool) => all + heldThen(there, pool, { own, wanted }), 0);
  if (needed <= source.maxNodes) return null;
  return failure(
    'NO_CAPACITY',
    `Cluster ${cluster.name} may rent ${source.maxNodes} machines in ${source.region} of ${source.provider}; with this ${needed} would be needed.`,
    { hint: 'Deploy it anew to have it placed elsewhere, or raise maxNodes of the source.' },
  );
}
