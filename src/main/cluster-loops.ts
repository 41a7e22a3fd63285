import { ClusterLoop } from '../deployments/cluster-loop.reconciler.ts';
import { ClusterUnreachable, type ClusterPort } from '../deployments/cluster.port.ts';
import type { ClusterInventory, NodeActions } from '../fleet/cluster-inventory.port.ts';
import type { Cluster } from '../fleet/cluster.ts';
import { NodesLoop } from '../fleet/nodes-loop.reconciler.ts';
import { POOL_PACE } from '../fleet/plan-pools.ts';
import { newId, type Id } from '../kernel/id.ts';
import type { Scope } from '../kernel/transaction.ts';
import { Loop } from '../reconcile/loop.ts';
import type { Parts } from './compose.ts';
import type { Wake } from './make-services.ts';

/** A cluster that was opened: what it is spoken to by, and how to let it go. */
export interface OpenedCluster {
  readonly cluster: ClusterPort;
  /** Absent = it has no nodes of its own. */
  readonly nodes?: OpenedNodes;
  /** Stops watching; what runs there runs on. */
  stop(): Promise<void>;
}

/** The nodes of a cluster that was opened. */
export interface OpenedNodes {
  readonly inventory: ClusterInventory;
  readonly actions: NodeActions;
}

/** Makes the way to a registered cluster; throws `ClusterUnreachable` where its settings cannot be read. */
export type OpenCluster = (cluster: Cluster) => Promise<OpenedCluster>;

/** Without a signal the table of clusters is read this often. Higher: one that could not be opened is tried late; lower: reads for nothing. */
const LOOK_MS = 30_000;
const SCOPE: Scope = { kind: 'reconciler', loop: 'clusters' };

interface Running {
  readonly loop: ClusterLoop;
  readonly nodes: NodesLoop | null;
  readonly opened: OpenedCluster;
  readonly wake: Wake;
  /** True while it stands for a cluster that could not be opened. */
  readonly isShut: boolean;
  /** What the cluster was opened with. */
  readonly config: string;
}

/** One loop per registered cluster, started and stopped as clusters come and go, whichever instance was told of it. */
export class ClusterLoops {
  readonly #parts: Parts;
  readonly #open: OpenCluster;
  /** Names this machine; null = it runs no replicas of its own. */
  readonly #machineId: Id | null;
  readonly #loop: Loop;
  readonly #running = new Map<Id, Running>();
  readonly #wake: Wake = (clusterIds) => {
    if (clusterIds === null) this.#loop.wake();
  };

  constructor(parts: Parts, { open, machineId }: { readonly open: OpenCluster; readonly machineId: Id | null }) {
    this.#parts = parts;
    this.#open = open;
    this.#machineId = machineId;
    const { random, logger } = parts;
    this.#loop = new Loop({ name: 'clusters', everyMs: LOOK_MS, body: () => this.#follow(), random, logger });
  }

  start(): void {
    this.#parts.wakes.add(this.#wake);
    this.#loop.start();
  }

  async stop(): Promise<void> {
    this.#parts.wakes.delete(this.#wake);
    await this.#loop.stop();
    await Promise.all([...this.#running.keys()].map((id) => this.#end(id)));
  }

  async #follow(): Promise<void> {
    const { database, clusterStore } = this.#parts;
    const present = await database.read(SCOPE, (tx) => clusterStore.present(tx));
    const mine = present.filter(({ kind, machineId }) => kind !== 'local' || machineId === this.#machineId);
    const ids = new Set(mine.map(({ id }) => id));
    for (const id of [...this.#running.keys()]) if (!ids.has(id)) await this.#end(id);
    for (const cluster of mine) if (!this.#isOpen(cluster)) await this.#begin(cluster);
  }

  /** False, too, for one that is registered otherwise by now. */
  #isOpen(cluster: Cluster): boolean {
    const running = this.#running.get(cluster.id);
    return running?.isShut === false && running.config === textOf(cluster);
  }

  async #begin(cluster: Cluster): Promise<void> {
    const { clusterLoop, clusters, wakes, clock, random, logger } = this.#parts;
    const opened = await this.#open(cluster).catch((error: unknown) => {
      if (!this.#isKnownShut(cluster)) logger.warn({ cluster: cluster.name, err: error }, 'the cluster cannot be opened');
      return shut(error);
    });
    const isShut = opened.cluster instanceof ShutCluster;
    if (isShut && this.#isKnownShut(cluster)) return;
    await this.#end(cluster.id);
    const holder = newId(clock.now(), random);
    const loop = new ClusterLoop({ ...clusterLoop, clusterId: cluster.id, cluster: opened.cluster, holder });
    const wake: Wake = (clusterIds) => {
      if (clusterIds?.has(cluster.id) ?? true) loop.wake();
    };
    const nodes = this.#nodesLoop(cluster.id, opened.nodes, holder);
    this.#running.set(cluster.id, { loop, nodes, opened, wake, isShut, config: textOf(cluster) });
    clusters.set(cluster.id, opened.cluster);
    wakes.add(wake);
    loop.start();
    nodes?.start();
  }

  /** It could not be opened with this before. */
  #isKnownShut(cluster: Cluster): boolean {
    const running = this.#running.get(cluster.id);
    return running?.isShut === true && running.config === textOf(cluster);
  }

  #nodesLoop(clusterId: Id, opened: OpenedNodes | undefined, holder: string): NodesLoop | null {
    if (!opened) return null;
    const { nodeStore: store, clusterStore: clusters, nodeProviders: providers, nodeMetering: meter } = this.#parts;
    const stores = { store, clusters, capacity: this.#parts.capacityStore };
    const limits = { pace: POOL_PACE, velocity: this.#parts.config.velocity };
    return new NodesLoop({ ...this.#parts, ...opened, ...stores, ...limits, clusterId, providers, meter, holder });
  }

  async #end(id: Id): Promise<void> {
    const running = this.#running.get(id);
    if (!running) return;
    this.#running.delete(id);
    this.#parts.wakes.delete(running.wake);
    this.#parts.clusters.delete(id);
    await running.nodes?.stop();
    await running.loop.stop();
    await running.opened.stop();
  }
}

/** The database gives the keys of a config in the same order each time. */
const textOf = ({ config }: Cluster): string => JSON.stringify(config);

const shut = (cause: unknown): OpenedCluster => ({
  cluster: new ShutCluster(cause instanceof Error ? cause.message : String(cause)),
  stop: () => Promise.resolve(),
});

/** Stands for a cluster that could not be opened: it cannot be reached, and says why. */
class ShutCluster implements ClusterPort {
  readonly kind = 'kubernetes' as const;
  readonly #why: string;

  constructor(why: string) {
    this.#why = why;
  }

  apply = (): Promise<never> => this.#refuse();
  remove = (): Promise<never> => this.#refuse();
  tidy = (): Promise<never> => this.#refuse();
  observe = (): Promise<never> => this.#refuse();
  changed = (): Promise<never> => this.#refuse();
  logs = (): Promise<never> => this.#refuse();

  #refuse(): Promise<never> {
    return Promise.reject(new ClusterUnreachable(this.#why));
  }
}
