import type { ReplicaRates } from '../deployments/replica-rates.port.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { ratesOnNode, type PodOnNode } from './attribute-node.ts';
import type { CostedNode, NodeCostStore } from './node-cost-store.port.ts';

/** What replicas on shared nodes cost per hour at this moment. */
export class ReplicaRatesService implements ReplicaRates {
  readonly #nodes: Pick<NodeCostStore, 'nodesOf' | 'costedNodes'>;

  constructor(nodes: Pick<NodeCostStore, 'nodesOf' | 'costedNodes'>) {
    this.#nodes = nodes;
  }

  async ratesOf(tx: Transaction, replicaIds: readonly Id[], now: Instant): Promise<ReadonlyMap<Id, PicoUsdPerHour | null>> {
    const placed = await this.#nodes.nodesOf(tx, replicaIds);
    const nodes = await this.#nodes.costedNodes(tx, [...new Set(placed.values())], { from: now, to: now + 1 });
    const rates = new Map(nodes.map((node) => [node.nodeId, ratesOnNode(node, podsAt(node, now), now)]));
    return new Map([...placed].map(([replicaId, nodeId]) => [replicaId, rates.get(nodeId)?.get(replicaId) ?? null]));
  }
}

const podsAt = ({ pods }: CostedNode, at: Instant): PodOnNode[] =>
  pods.flatMap(({ podId, placements }) => {
    const now = placements.findLast(({ from, to }) => from <= at && at < to);
    if (!now) return [];
    const pieces = [{ from: at, to: at + 1, state: '' as const, requests: now.requests }];
    return [{ podId, pieces, use: { cpuMilli: null, memoryMib: null } }];
  });
