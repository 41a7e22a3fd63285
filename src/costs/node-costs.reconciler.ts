import { record } from '../events/event-log.ts';
import type { Id } from '../kernel/id.ts';
import { DAY_MS, MINUTE_MS, minuteOf, type Instant } from '../kernel/instant.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import { fencedWrite } from '../persistence/fenced-write.ts';
import type { Reconciliation } from '../reconcile/loop.ts';
import type { CostsReconcilerDeps } from './costs.reconciler.ts';
import { nodeInvariantViolated } from './ledger.events.ts';
import type { CostedNode, MeteredNode, NodeCostStore } from './node-cost-store.port.ts';
import {
  CLOSE_ANYWAY_MS,
  KEEP_INPUTS_MS,
  MAX_NODES_RESTATED_PER_RUN,
  planNodeClosing,
  type NodeClosingInput,
  type NodeTurn,
} from './plan-closing.ts';
import { minutesBetween } from './settle.ts';
import { settleNode } from './settle-node.ts';

const SCOPE: Scope = { kind: 'reconciler', loop: 'costs' };
/** Rows of old use forgotten in one run. Higher holds locks for long, lower lets the table grow after a busy month. */
const MAX_PRUNED_PER_RUN = 10_000;

export interface NodeCostsDeps extends CostsReconcilerDeps {
  readonly nodes: NodeCostStore;
}

/** Closes minutes of shared nodes and restates closed ones: all lines of a node-minute in one transaction. */
export class NodeCostsReconciler implements Reconciliation<NodeClosingInput, NodeTurn[]> {
  readonly #deps: NodeCostsDeps;

  constructor(deps: NodeCostsDeps) {
    this.#deps = deps;
  }

  prepare(): Promise<NodeClosingInput> {
    const { database, store, nodes, clock } = this.#deps;
    const now = clock.now();
    return database.read(SCOPE, async (tx) => ({
      nodes: await nodes.openNodes(tx, now - KEEP_INPUTS_MS),
      acknowledged: await store.acknowledgedThrough(tx, now - CLOSE_ANYWAY_MS),
      queued: await nodes.queuedNodes(tx, MAX_NODES_RESTATED_PER_RUN),
    }));
  }

  plan(input: NodeClosingInput, now: Instant): NodeTurn[] {
    return planNodeClosing(input, now);
  }

  async execute(turns: readonly NodeTurn[], signal: AbortSignal): Promise<void> {
    const lease = this.#deps.lease();
    if (!lease) return;
    for (const turn of turns) {
      signal.throwIfAborted();
      await fencedWrite(this.#deps.database, { scope: SCOPE, lease }, (tx) => this.#take(tx, turn));
    }
  }

  /** What pods used so long ago that no minute of it can be restated is forgotten. Writes nothing where there is none. */
  async prune(): Promise<void> {
    const lease = this.#deps.lease();
    if (!lease) return;
    const { database, nodes, clock } = this.#deps;
    const oldest = minuteOf(clock.now() - KEEP_INPUTS_MS - DAY_MS);
    await fencedWrite(database, { scope: SCOPE, lease }, (tx) => nodes.pruneUse(tx, oldest, MAX_PRUNED_PER_RUN));
  }

  async #take(tx: Transaction, turn: NodeTurn): Promise<void> {
    const { nodes, clock } = this.#deps;
    const metered = await nodes.lockNode(tx, turn.nodeId);
    if (!metered) return nodes.dropNodeRestatements(tx, turn.nodeId, turn.restate);
    const closedUntil = Math.max(metered.closedUntil, turn.closeUntil);
    // What is queued and not closed yet is closed in its own time.
    const closed = [
      ...turn.restate.filter((minute) => minute < closedUntil),
      ...minutesBetween(metered.closedUntil, closedUntil),
    ];
    const minutes = [...new Set(closed)].sort((a, b) => a - b);
    const range = { from: minutes[0] ?? closedUntil, to: (minutes.at(-1) ?? closedUntil) + MINUTE_MS };
    const [node] = await nodes.costedNodes(tx, [turn.nodeId], range);
    if (!node) return;
    if (minutes.length > 0) await this.#settle(tx, node, minutes);
    // After replicas are held: whoever holds one may be waiting to queue the same minutes.
    await this.#queueChanged(tx, node, metered);
    await nodes.dropNodeRestatements(tx, turn.nodeId, turn.restate);
    const ended = node.capacityUntil !== null && closedUntil >= node.capacityUntil;
    await nodes.saveNode(tx, { nodeId: turn.nodeId, closedUntil, ended }, node.prices);
    this.#deps.logger.debug(
      { node: node.name, minutes: minutes.length, closedUntil, at: clock.now() },
      'minutes of a node settled',
    );
  }

  /** Prices that have come to be known since: minutes that they are in force in are stated anew, as far as inputs are kept. */
  async #queueChanged(tx: Transaction, { nodeId, news, capacityFrom }: CostedNode, { closedUntil }: MeteredNode): Promise<void> {
    if (news.length === 0) return;
    const oldest = minuteOf(this.#deps.clock.now() - KEEP_INPUTS_MS + MINUTE_MS);
    await this.#deps.nodes.queueNode(tx, nodeId, { from: Math.max(oldest, capacityFrom, Math.min(...news)), to: closedUntil });
  }

  async #settle(tx: Transaction, node: CostedNode, minutes: readonly Instant[]): Promise<void> {
    const { store, nodes, clock, metrics, logger } = this.#deps;
    const booked = await nodes.bookedNodeLines(tx, node.nodeId, minutes);
    const ids = new Set(node.pods.filter(({ isReplica }) => isReplica).map(({ podId }) => podId));
    for (const resourceId of [...booked.values()].flatMap((lines) => [...lines.keys()])) ids.add(resourceId);
    const facts = await this.#factsOf(tx, [...ids].sort(), minutes);
    const { lines, violations } = settleNode({ node, minutes, booked, ...facts });
    await store.appendLines(tx, lines, clock.now());
    for (const violation of violations) {
      const said = { expected: String(violation.expected), found: String(violation.found) };
      logger.error({ node: node.name, minute: violation.minute, ...said }, 'the lines of a minute do not sum to its cost');
      record(tx, nodeInvariantViolated(node, violation, clock.now()));
    }
    metrics.settled({ minutes: minutes.length, lines: lines.length, violations: violations.length });
  }

  /** Replicas are held first, so that usage that comes meanwhile finds the minutes closed and queues them. */
  async #factsOf(tx: Transaction, ids: readonly Id[], minutes: readonly Instant[]) {
    const { store } = this.#deps;
    const range = { from: minutes[0] ?? 0, to: (minutes.at(-1) ?? 0) + MINUTE_MS };
    await store.lockReplicas(tx, ids);
    const replicas = await store.costedReplicas(tx, ids, range);
    return {
      replicas: new Map(replicas.map((replica) => [replica.replicaId, replica])),
      usage: await store.usageOf(tx, ids, range),
    };
  }
}
