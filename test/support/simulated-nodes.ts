import { CloudUnknown, type MachineProvider } from '../../src/clouds/cloud-provider.port.ts';
import {
  InventoryUnreachable,
  type ClusterInventory,
  type InventoryObservation,
  type NodeActions,
  type NodePod,
  type NodeResources,
  type ObservedNode,
  type WaitingPod,
} from '../../src/fleet/cluster-inventory.port.ts';
import type { Clock } from '../../src/kernel/clock.ts';
import type { Id } from '../../src/kernel/id.ts';
import { uid } from './nodes.ts';

interface Pod {
  readonly uid: Id;
  readonly name: string;
  readonly workloadId: Id;
  readonly pool: string;
  readonly requests: NodeResources;
  readonly since: number;
  /** Instance that it runs on; null = it waits. */
  on: string | null;
  boundAt: number;
  released: boolean;
}

export interface SimulatedNodesDeps {
  readonly clock: Clock;
  readonly market: Pick<MachineProvider, 'observeNodes'>;
  /** Of the pools, in the order of names given: `installation/cluster/pool`. */
  readonly prefix: string;
  readonly pools: readonly string[];
  readonly size: NodeResources;
  /** Nodes are numbered from here; default 0. */
  readonly uids?: number;
  /** Of a machine; default: the digits of its id. */
  readonly numberOf?: (instanceId: string) => number;
  readonly priceOf?: (pool: string) => bigint | null;
}

/** The nodes of a cluster whose machines a simulated market rents: machines that run join, pods go where there is room, what leaves is made anew. */
export class SimulatedNodes implements ClusterInventory, NodeActions {
  readonly done: string[] = [];
  reachable = true;
  readonly #deps: SimulatedNodesDeps;
  readonly #pods = new Map<Id, Pod>();
  readonly #marked = new Set<string>();
  readonly #noticed = new Map<string, string>();
  readonly #wanted = new Map<Id, { readonly pool: string; readonly requests: NodeResources; count: number }>();
  #made = 0;

  constructor(deps: SimulatedNodesDeps) {
    this.#deps = deps;
  }

  /** A workload shall have so many pods in a pool. */
  want(workloadId: Id, pool: string, count: number, requests: NodeResources): void {
    this.#wanted.set(workloadId, { pool, requests, count });
  }

  /** Pods that run on a node, of all workloads or one. */
  running(workloadId?: Id): number {
    return [...this.#pods.values()].filter((pod) => pod.on !== null && (!workloadId || pod.workloadId === workloadId)).length;
  }

  async observeNodes(): Promise<InventoryObservation> {
    if (!this.reachable) throw new InventoryUnreachable('unplugged');
    const nodes = (await Promise.all(this.#deps.pools.map((pool) => this.#nodesOf(pool)))).flat();
    this.#live(nodes);
    const observedAt = this.#deps.clock.now();
    const shown = nodes.map((node) => ({ ...node, pods: this.#podsOn(node.name) }));
    return { observedAt, nodes: shown, waiting: this.#waiting() };
  }

  usage = () => Promise.resolve([]);
  changed = () => Promise.resolve();

  cordon = (node: Pick<ObservedNode, 'name'>) => this.#do('cordon', node.name, () => this.#marked.add(node.name));
  uncordon = (node: Pick<ObservedNode, 'name'>) => this.#do('uncordon', node.name, () => this.#marked.delete(node.name));
  announce = (node: Pick<ObservedNode, 'name'>, message: string) =>
    this.#do('announce', node.name, () => this.#noticed.set(node.name, message));
  forget = (node: Pick<ObservedNode, 'name'>) => this.#do('forget', node.name, () => undefined);
  retire = (pod: Pick<NodePod, 'uid' | 'name'>) => this.#do('retire', pod.name, () => this.#pods.delete(pod.uid));
  release = (pod: Pick<NodePod, 'uid' | 'name'>) =>
    this.#do('release', pod.name, () => {
      const known = this.#pods.get(pod.uid);
      if (known) known.released = true;
    });

  #do(what: string, name: string, effect: () => unknown): Promise<void> {
    this.done.push(`${what} ${name}`);
    effect();
    return Promise.resolve();
  }

  async #nodesOf(pool: string): Promise<ObservedNode[]> {
    const { market, prefix, size, priceOf, numberOf = digitsOf } = this.#deps;
    const machines = (await untilAnswered(() => market.observeNodes(`${prefix}/${pool}`)))?.nodes ?? [];
    return machines
      .filter(({ phase }) => phase === 'running' || phase === 'stopping')
      .map(({ instanceId, since, phase }): ObservedNode => {
        const message = this.#noticed.get(instanceId);
        return {
          ...{
            uid: uid((this.#deps.uids ?? 0) + numberOf(instanceId)),
            name: instanceId,
            from: since,
            capacity: size,
            allocatable: size,
          },
          ...{ provider: null, instanceId, region: null, zone: null, instanceType: null, capacityType: null },
          ...{ pricePerHour: priceOf?.(pool) ?? null, priceProblem: null, pool, labels: {} },
          ...{ readiness: phase === 'running' ? 'ready' : 'not_ready', readinessSince: since, seenAt: this.#deps.clock.now() },
          ...{ schedulable: !this.#marked.has(instanceId) && message === undefined, releasing: this.#marked.has(instanceId) },
          ...{ notice: message === undefined ? null : { source: 'purser.dev/interruption', message, at: null }, pods: [] },
        };
      });
  }

  /** Pods whose node is gone have ended; what is wished for and not there is made; what waits goes to the first node with room. */
  #live(nodes: readonly ObservedNode[]): void {
    const names = new Set(nodes.map(({ name }) => name));
    for (const pod of this.#pods.values()) if (pod.on !== null && !names.has(pod.on)) this.#pods.delete(pod.uid);
    for (const [workloadId, wish] of this.#wanted) this.#fill(workloadId, wish);
    for (const pod of this.#pods.values()) if (pod.on === null) this.#place(pod, nodes);
  }

  #fill(
    workloadId: Id,
    { pool, requests, count }: { readonly pool: string; readonly requests: NodeResources; readonly count: number },
  ) {
    const held = [...this.#pods.values()].filter((pod) => pod.workloadId === workloadId && !pod.released);
    const surplus = [...held]
      .sort((a, b) => Number(a.on !== null) - Number(b.on !== null))
      .slice(0, Math.max(0, held.length - count));
    for (const pod of surplus) this.#pods.delete(pod.uid);
    const now = this.#deps.clock.now();
    for (let n = held.length; n < count; n += 1) {
      this.#made += 1;
      const id = uid(500_000_000_000 + (this.#deps.uids ?? 0) * 10 + this.#made);
      const pod = {
        uid: id,
        name: `pod${this.#made}`,
        workloadId,
        pool,
        requests,
        since: now,
        on: null,
        boundAt: 0,
        released: false,
      };
      this.#pods.set(id, pod);
    }
  }

  #place(pod: Pod, nodes: readonly ObservedNode[]): void {
    const node = nodes.find(
      (one) => one.pool === pod.pool && one.schedulable && one.readiness === 'ready' && this.#fits(pod, one),
    );
    if (!node) return;
    pod.on = node.name;
    pod.boundAt = this.#deps.clock.now();
  }

  #fits({ requests }: Pod, { name, allocatable }: ObservedNode): boolean {
    const there = [...this.#pods.values()].filter(({ on }) => on === name).map((pod) => pod.requests);
    const sum = (key: 'cpuMilli' | 'memoryMib') => there.reduce((all, one) => all + one[key], requests[key]);
    return sum('cpuMilli') <= allocatable.cpuMilli && sum('memoryMib') <= allocatable.memoryMib;
  }

  #podsOn(name: string): NodePod[] {
    return [...this.#pods.values()]
      .filter(({ on }) => on === name)
      .map(({ uid: id, name: podName, workloadId, requests, boundAt, released }) => ({
        ...{ uid: id, namespace: 'purser-acme', name: podName, workloadId, owner: 'ReplicaSet/x', daemon: false, requests },
        ...{ from: boundAt, endingSince: null, ready: this.#deps.clock.now() > boundAt, replaced: !released },
      }));
  }

  #waiting(): WaitingPod[] {
    return [...this.#pods.values()]
      .filter(({ on }) => on === null)
      .map(({ uid: id, workloadId, requests, pool, since }) => ({
        ...{ uid: id, workloadId, requests, pool, nodeSelector: {}, since, message: 'no node fits' },
      }));
  }
}

const digitsOf = (instanceId: string): number => Number(instanceId.replace(/\D/g, ''));

/** A cluster sees its own machines, whatever its provider's API does. */
async function untilAnswered<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof CloudUnknown)) throw error;
    }
  }
}
