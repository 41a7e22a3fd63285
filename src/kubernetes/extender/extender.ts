import type { Clock } from '../../kernel/clock.ts';
import type { PicoUsdPerHour } from '../../kernel/money.ts';
import type { Random } from '../../kernel/random.ts';
import { Loop } from '../../reconcile/loop.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { KubernetesApi } from '../api/kubernetes-api.ts';
import type { Node } from '../api/objects.ts';
import { NODES } from '../api/resource.ts';
import { capacityTypeOf } from '../nodes/node-facts.ts';
import { resourcesThere } from '../nodes/node-resources.ts';
import { noticeOf } from '../nodes/node-state.ts';
import { ResourceCache } from '../watch/resource-cache.ts';
import type { Held } from '../watch/resource-state.ts';
import type { NodePrices } from './node-prices.port.ts';
import { filterNodes, scoreNodes, type NodeOffer } from './rate-nodes.ts';
import type { NodesQuestion } from './read-question.ts';

/** How often prices are asked for. Higher: a new node counts as unpriced for longer; lower: the API is asked for nothing. */
const PRICES_MS = 15_000;

export interface ExtenderDeps {
  readonly api: KubernetesApi;
  readonly prices: NodePrices;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

type HeldNode = Held & { readonly offer: Omit<NodeOffer, 'pricePerHour'> };

/** As `k8s.io/kube-scheduler/extender/v1` has them. */
export interface FilterAnswer {
  readonly NodeNames: readonly string[];
  readonly FailedNodes: Readonly<Record<string, string>>;
}

export type PriorityAnswer = readonly { readonly Host: string; readonly Score: number }[];

/**
 * Answers another cluster's scheduler out of what it holds and never waits for anybody: nodes are watched, prices asked for beside. When the
 * API is away the last prices count; when nothing is known yet every node is as good as any other.
 */
export class Extender {
  readonly #nodes: ResourceCache<Node, HeldNode>;
  readonly #loop: Loop;
  #prices: ReadonlyMap<string, PicoUsdPerHour> = new Map();

  constructor(deps: ExtenderDeps) {
    this.#nodes = new ResourceCache({ ...deps, resource: NODES, project: held });
    this.#loop = new Loop({
      ...{ random: deps.random, logger: deps.logger, name: 'node-prices', everyMs: PRICES_MS },
      body: async (signal) => {
        this.#prices = await deps.prices.read(signal);
      },
    });
  }

  /** Resolves when the nodes are known. */
  async start(): Promise<void> {
    this.#nodes.onChange((changes) => {
      if (changes.some(({ object }) => !this.#prices.has(object.metadata.name))) this.#loop.wake();
    });
    this.#nodes.start();
    this.#loop.start();
    await this.#nodes.synced();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#loop.stop(), this.#nodes.stop()]);
  }

  filter({ ask, names }: NodesQuestion): FilterAnswer {
    if (!ask.ok) return { NodeNames: [], FailedNodes: Object.fromEntries(names.map((name) => [name, ask.error])) };
    const { kept, failed } = filterNodes(ask.value, names, this.#offers(names));
    return { NodeNames: kept, FailedNodes: failed };
  }

  prioritize({ ask, names }: NodesQuestion): PriorityAnswer {
    if (!ask.ok) return names.map((name) => ({ Host: name, Score: 0 }));
    return scoreNodes(ask.value, names, this.#offers(names)).map(({ name, score }) => ({ Host: name, Score: score }));
  }

  #offers(names: readonly string[]): ReadonlyMap<string, NodeOffer> {
    return new Map(
      names.flatMap((name) => {
        const node = this.#nodes.get(null, name);
        return node ? [[name, { ...node.offer, pricePerHour: this.#prices.get(name) ?? null }] as const] : [];
      }),
    );
  }
}

const held = (node: Node): HeldNode => {
  const { metadata, status } = node;
  const labels = metadata.labels ?? {};
  return {
    metadata,
    offer: {
      name: metadata.name,
      allocatable: resourcesThere(status?.allocatable ?? status?.capacity, labels),
      capacityType: capacityTypeOf(labels) ?? 'on_demand',
      notice: noticeOf(node)?.message ?? null,
    },
  };
};
