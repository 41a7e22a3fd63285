import type { Transaction } from '../kernel/transaction.ts';
import { isRentedFrom } from './capacity-source.ts';
import type { ClusterStore } from './cluster-store.port.ts';
import type { Cluster, Pool } from './cluster.ts';
import type { NodeStore } from './node-store.port.ts';
import type { PoolScaling } from './node.ts';

export interface SourceLimitsDeps {
  readonly clusters: Pick<ClusterStore, 'rentedPools' | 'lockSources'>;
  readonly store: Pick<NodeStore, 'scalings'>;
}

/** What sources of machines allow their pools together: the last word before a provider is asked, whoever wished for them and however. */
export class SourceLimits {
  readonly #deps: SourceLimitsDeps;

  constructor(deps: SourceLimitsDeps) {
    this.#deps = deps;
  }

  /**
   * Machines that this pool may have in all, those of other pools of its source being what they were last asked for; infinitely many where it is of no
   * source. Holds whoever else places or grows until the transaction ends: to be asked before rows of pools are locked.
   */
  async mostOf(
    tx: Transaction,
    { cluster, pool, scaling }: { readonly cluster: Cluster; readonly pool: Pool; readonly scaling: PoolScaling },
  ): Promise<number> {
    const source = (cluster.capacitySources ?? []).find((one) => isRentedFrom(one, scaling));
    if (!source) return Infinity;
    const { clusters, store } = this.#deps;
    await clusters.lockSources(tx);
    const pools = await clusters.rentedPools(tx, [cluster.id]);
    const others = pools.filter(({ id }) => id !== pool.id).map(({ id }) => id);
    const held = (await store.scalings(tx, others)).filter((one) => isRentedFrom(source, one));
    return Math.max(0, source.maxNodes - held.reduce((all, { desiredNodes }) => all + (desiredNodes ?? 0), 0));
  }
}
