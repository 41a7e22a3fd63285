import { z } from 'zod';
import {
  InventoryUnreachable,
  type ClusterInventory,
  type InventoryObservation,
  type NodePod,
  type NodeUsage,
  type ObservedNode,
  type PodUsage,
  type WaitingPod,
} from '../../fleet/cluster-inventory.port.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Id } from '../../kernel/id.ts';
import type { Random } from '../../kernel/random.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { KubernetesApi } from '../api/kubernetes-api.ts';
import type { Node, ObjectMeta, Pod } from '../api/objects.ts';
import { NODES, PODS } from '../api/resource.ts';
import { observedNode } from './node-facts.ts';
import { isHeld, nodePod, waitingPod } from './node-pods.ts';
import { instantOf } from './node-state.ts';
import { ResourceCache, type CacheLimits } from '../watch/resource-cache.ts';
import { distrust } from '../watch/trust.ts';

/** Kubelets that are asked at a time. Higher: the API server proxies many slow answers at once; lower: a large cluster takes longer than a minute. */
const KUBELETS_AT_A_TIME = 8;
/** A kubelet that takes longer does not answer. Higher: one dead node holds up the others; lower: a busy one goes unmeasured. */
const KUBELET_TIMEOUT_MS = 5_000;
/** How long a first observation waits for the first lists. Higher: a start hangs on a dead cluster; lower: a slow one counts as unreachable. */
const FIRST_LIST_MS = 10_000;
const MIB = 2 ** 20;

export interface InventoryDeps {
  readonly api: Pick<KubernetesApi, 'listProjected' | 'watch' | 'text'>;
  readonly installation: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits?: Partial<CacheLimits>;
}

type HeldMeta = Pick<ObjectMeta, 'name' | 'namespace' | 'uid' | 'resourceVersion'>;

interface HeldNode {
  readonly metadata: HeldMeta;
  readonly node: Node;
}

interface HeldPod {
  readonly metadata: HeldMeta;
  readonly nodeName: string | null;
  /** Null while no node has taken it. */
  readonly bound: NodePod | null;
  readonly waiting: WaitingPod | null;
}

/** The nodes of a Kubernetes cluster, as its API server and its kubelets tell. */
export class KubernetesInventory implements ClusterInventory {
  readonly #deps: InventoryDeps;
  readonly #nodes: ResourceCache<Node, HeldNode>;
  readonly #pods: ResourceCache<Pod, HeldPod>;
  #changed = Promise.withResolvers<undefined>();

  constructor(deps: InventoryDeps) {
    this.#deps = deps;
    const { installation } = deps;
    this.#nodes = new ResourceCache<Node, HeldNode>({ ...deps, resource: NODES, project: holdNode });
    this.#pods = new ResourceCache<Pod, HeldPod>({ ...deps, resource: PODS, project: (pod) => holdPod(pod, installation) });
    const note = (): void => this.#changed.resolve(undefined);
    this.#nodes.onChange(note);
    this.#pods.onChange(note);
  }

  start(): void {
    this.#nodes.start();
    this.#pods.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#nodes.stop(), this.#pods.stop()]);
  }

  /** A node as it is known; null for one that is not. */
  nodeOf(name: string): Node | null {
    return this.#nodes.get(null, name)?.node ?? null;
  }

  /** The listener hears that something was said about nodes, and may not throw. */
  onNodesChanged(listener: () => void): void {
    this.#nodes.onChange(listener);
  }

  async observeNodes(): Promise<InventoryObservation> {
    this.#changed = Promise.withResolvers();
    await this.#firstLists();
    const now = this.#deps.clock.now();
    const trouble = [this.#nodes, this.#pods].map((cache) => distrust(cache.freshness(), now)).find((why) => why !== null);
    if (trouble !== undefined) throw new InventoryUnreachable(`the nodes cannot be seen: ${trouble}`);
    const pods = [...this.#pods.items().values()];
    const bound = Map.groupBy(
      pods.filter(({ nodeName }) => nodeName !== null),
      ({ nodeName }) => nodeName,
    );
    const nodes = [...this.#nodes.items().values()].map(({ node }): ObservedNode => {
      const own = (bound.get(node.metadata.name) ?? []).flatMap((pod) => pod.bound ?? []);
      return observedNode(node, own.sort(byUid));
    });
    const waiting = pods.flatMap((pod) => pod.waiting ?? []);
    return { observedAt: now, nodes: nodes.sort(byName), waiting: waiting.sort((a, b) => a.since - b.since || byUid(a, b)) };
  }

  async usage(nodes: readonly Pick<ObservedNode, 'uid' | 'name'>[]): Promise<readonly NodeUsage[]> {
    const told: NodeUsage[] = [];
    const left = [...nodes];
    const ask = async (): Promise<void> => {
      for (let node = left.shift(); node; node = left.shift()) {
        const usage = await this.#usageOf(node);
        if (usage) told.push(usage);
      }
    };
    await Promise.all(Array.from({ length: Math.min(KUBELETS_AT_A_TIME, nodes.length) }, ask));
    return told.sort((a, b) => (a.nodeName < b.nodeName ? -1 : 1));
  }

  changed(signal: AbortSignal): Promise<void> {
    const { promise } = this.#changed;
    return new Promise((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done);
        resolve();
      };
      signal.addEventListener('abort', done, { once: true });
      if (signal.aborted) done();
      else void promise.then(done);
    });
  }

  async #firstLists(): Promise<void> {
    const caches = [this.#nodes, this.#pods];
    if (caches.every((cache) => cache.freshness().syncedAt !== null)) return;
    const waited = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => waited.resolve(undefined), FIRST_LIST_MS);
    try {
      await Promise.race([waited.promise, Promise.all(caches.map((cache) => cache.synced()))]);
    } catch (error) {
      throw new InventoryUnreachable('the nodes were not seen before the end', { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Null where the kubelet does not answer, or not with what it should: use there is unknown. */
  async #usageOf({ uid, name }: Pick<ObservedNode, 'uid' | 'name'>): Promise<NodeUsage | null> {
    const path = `/api/v1/nodes/${encodeURIComponent(name)}/proxy/stats/summary`;
    try {
      const options = { query: { only_cpu_and_memory: true }, signal: AbortSignal.timeout(KUBELET_TIMEOUT_MS) };
      return { nodeUid: uid, nodeName: name, pods: readSummary(await this.#deps.api.text(path, options)) };
    } catch (error) {
      this.#deps.logger.debug({ node: name, err: error }, 'a kubelet did not tell its usage');
      return null;
    }
  }
}

const Reading = z.object({ time: z.string(), usageCoreNanoSeconds: z.number().optional() });
const Memory = z.object({ time: z.string(), workingSetBytes: z.number().optional() });
const Summary = z.object({
  pods: z
    .array(z.object({ podRef: z.object({ uid: z.string() }), cpu: Reading.optional(), memory: Memory.optional() }))
    .nullish(),
});

/** What a kubelet's `stats/summary` says of its pods. Throws on anything else. */
export function readSummary(text: string): PodUsage[] {
  const { pods } = Summary.parse(JSON.parse(text));
  return (pods ?? []).flatMap(({ podRef, cpu, memory }): PodUsage[] => {
    const at = instantOf(cpu?.time) ?? instantOf(memory?.time);
    if (at === null) return [];
    const { usageCoreNanoSeconds: nanos } = cpu ?? {};
    const { workingSetBytes: bytes } = memory ?? {};
    return [
      {
        ...{ uid: podRef.uid, at },
        cpuUs: nanos === undefined ? null : Math.floor(nanos / 1000),
        memoryMib: bytes === undefined ? null : Math.ceil(bytes / MIB),
      },
    ];
  });
}

const heldMeta = ({ name, namespace, uid, resourceVersion }: ObjectMeta): HeldMeta => ({
  ...{ name, uid, resourceVersion },
  ...(namespace === undefined ? {} : { namespace }),
});

/** Without the images and annotations that nodes carry by the kilobyte. */
function holdNode({ metadata, spec, status }: Node): HeldNode {
  const { labels = {}, annotations = {}, creationTimestamp } = metadata;
  const kept = Object.entries(annotations).filter(([key]) => key.startsWith('purser.dev/'));
  const meta = heldMeta(metadata);
  const { capacity = {}, allocatable = capacity, conditions = [] } = status ?? {};
  return {
    metadata: meta,
    node: {
      metadata: { ...meta, labels, annotations: Object.fromEntries(kept), ...(creationTimestamp ? { creationTimestamp } : {}) },
      ...(spec ? { spec } : {}),
      status: { capacity, allocatable, conditions },
    },
  };
}

function holdPod(pod: Pod, installation: string): HeldPod | null {
  if (!isHeld(pod)) return null;
  const nodeName = pod.spec?.nodeName ?? null;
  return {
    metadata: heldMeta(pod.metadata),
    nodeName,
    bound: nodeName === null ? null : nodePod(pod, installation),
    waiting: waitingPod(pod, installation),
  };
}

const byUid = (a: { readonly uid: Id }, b: { readonly uid: Id }): number => (a.uid < b.uid ? -1 : 1);

const byName = (a: { readonly name: string }, b: { readonly name: string }): number => (a.name < b.name ? -1 : 1);
