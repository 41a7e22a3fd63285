import { offeringIdOf, type OfferingKey } from '../clouds/offering-key.ts';
import type { InventoryObservation, NodeUsage, ObservedNode } from '../fleet/cluster-inventory.port.ts';
import { offeringsOf } from '../fleet/node-offering.ts';
import type { NodeMeter } from '../fleet/node-meter.port.ts';
import { isId, newId, type Id } from '../kernel/id.ts';
import { MINUTE_MS, type Instant } from '../kernel/instant.ts';
import type { Random } from '../kernel/random.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { CatalogueRow } from '../pricing/catalogue.port.ts';
import type { PriceStore } from '../pricing/price-store.port.ts';
import type { KnownCluster, NodeFactsStore } from './node-facts-store.port.ts';
import { isNoFact, planNodeFacts, type NodeFacts } from './plan-node-facts.ts';
import { useBetween } from './pod-use.ts';

/** Provider and source of prices that nodes carry themselves. */
const ANNOTATED_PROVIDER = 'kubernetes';
const ANNOTATED_SOURCE = 'node-annotation';

export interface NodeMeteringDeps {
  readonly store: NodeFactsStore;
  readonly prices: Pick<PriceStore, 'byIds' | 'saveOfferings' | 'appendObserved'>;
  readonly random: Random;
}

/** Writes down which nodes there are, what they cost, which pods are on them and what these use. */
export class NodeMeteringService implements NodeMeter {
  readonly #deps: NodeMeteringDeps;
  /** When this process last looked at each cluster: only then is it known when a node went. */
  readonly #observed = new Map<Id, Instant>();

  constructor(deps: NodeMeteringDeps) {
    this.#deps = deps;
  }

  async observed(tx: Transaction, clusterId: Id, inventory: InventoryObservation): Promise<void> {
    const { store } = this.#deps;
    const seen = sane(inventory);
    const ids = {
      nodeIds: seen.nodes.map(({ uid }) => uid),
      podIds: seen.nodes.flatMap(({ pods }) => pods.map(({ uid }) => uid)),
    };
    const known = await store.known(tx, clusterId, ids);
    const offerings = await this.#offeringsOf(tx, known.name, seen);
    const plan = (facts: KnownCluster): NodeFacts =>
      planNodeFacts({ ...facts, inventory: seen, offerings, before: this.#observed.get(clusterId) ?? null });
    if (!isNoFact(plan(known))) {
      await store.lockNodes(
        tx,
        known.nodes.map(({ nodeId }) => nodeId),
      );
      const locked = await store.known(tx, clusterId, ids);
      const facts = plan(locked);
      await this.#savePrices(tx, known.name, seen, facts);
      await store.saveFacts(tx, clusterId, facts);
    }
    this.#observed.set(clusterId, seen.observedAt);
  }

  async sampled(tx: Transaction, at: Instant, usage: readonly NodeUsage[]): Promise<void> {
    const { store } = this.#deps;
    const nodes = usage.filter(({ nodeUid }) => isId(nodeUid));
    if (nodes.length === 0) return;
    const clusters = await store.lockNodes(
      tx,
      nodes.map(({ nodeUid }) => nodeUid),
    );
    // Whoever asks kubelets has just looked at their cluster.
    for (const clusterId of clusters) this.#observed.set(clusterId, Math.max(at, this.#observed.get(clusterId) ?? 0));
    const told = nodes.flatMap(({ nodeUid, pods }) => pods.filter(({ uid }) => isId(uid)).map((pod) => ({ ...pod, nodeUid })));
    const placed = await store.readings(
      tx,
      told.map(({ uid }) => uid),
    );
    const fresh = told.flatMap(({ uid, nodeUid, ...reading }) => {
      const pod = placed.get(uid);
      const use = pod?.nodeId === nodeUid ? useBetween(pod.last, { podId: uid, ...reading }, at) : null;
      return use ? [{ reading: { podId: uid, at: reading.at, cpuUs: reading.cpuUs }, use, nodeId: nodeUid }] : [];
    });
    await store.addUse(
      tx,
      fresh.flatMap(({ use, nodeId }) => use.map((part) => ({ ...part, nodeId }))),
    );
    await store.saveReadings(
      tx,
      fresh.map(({ reading }) => reading),
    );
    await store.saveSampled(
      tx,
      nodes.map(({ nodeUid, pods }) => ({ nodeId: nodeUid, through: sampledThrough(at, pods) })),
    );
  }

  /**
   * What each node is priced by: what it says itself, else the offering of its labels, in its zone or in all of the region. One that says what
   * is no price is priced by nothing: another price in its place would look as if it had been meant.
   */
  async #offeringsOf(tx: Transaction, cluster: string, { nodes, observedAt }: InventoryObservation): Promise<Map<Id, Id | null>> {
    const wanted = new Map(nodes.map((node) => [node.uid, offeringsOf(node)]));
    const ids = [...new Set([...wanted.values()].flat())];
    const found = ids.length === 0 ? [] : await this.#deps.prices.byIds(tx, ids, observedAt);
    const known = new Set(found.map(({ offering }) => offering.id));
    const pricedBy = (node: ObservedNode): Id | null => {
      if (node.priceProblem !== null) return null;
      if (node.pricePerHour !== null) return offeringIdOf(annotatedKey(cluster, node));
      return wanted.get(node.uid)?.find((id) => known.has(id)) ?? null;
    };
    return new Map(nodes.map((node) => [node.uid, pricedBy(node)]));
  }

  /** A price on a node becomes an observed price like any other, so that it has a history. */
  async #savePrices(
    tx: Transaction,
    cluster: string,
    { nodes, observedAt }: InventoryObservation,
    facts: NodeFacts,
  ): Promise<void> {
    const byId = new Map(nodes.map((node) => [node.uid, node]));
    const rows = facts.shapes.flatMap(({ nodeId, annotated, at }): (CatalogueRow & { id: Id })[] => {
      const node = byId.get(nodeId);
      if (!node || annotated === null) return [];
      const source = `${ANNOTATED_SOURCE}@${new Date(observedAt).toISOString().slice(0, 10)}`;
      const id = newId(observedAt, this.#deps.random);
      return [{ id, offering: annotatedOffering(cluster, node), price: annotated, source, asOf: at }];
    });
    if (rows.length === 0) return;
    await this.#deps.prices.saveOfferings(
      tx,
      rows.map(({ offering }) => offering),
    );
    await this.#deps.prices.appendObserved(tx, rows, observedAt);
  }
}

/** Figures reach until the oldest of them was taken, but one pod that tells nothing new does not hold up the others. */
const sampledThrough = (at: Instant, pods: NodeUsage['pods']): Instant =>
  Math.max(at - MINUTE_MS, Math.min(at, ...pods.map((pod) => pod.at)));

/** Uids are made by clusters: what is none cannot be a resource of a line. */
const sane = (inventory: InventoryObservation): InventoryObservation => ({
  ...inventory,
  nodes: inventory.nodes
    .filter(({ uid }) => isId(uid))
    .map((node) => ({ ...node, pods: node.pods.filter(({ uid }) => isId(uid)) })),
});

const annotatedKey = (cluster: string, { name, capacityType }: ObservedNode): OfferingKey => ({
  provider: ANNOTATED_PROVIDER,
  region: cluster,
  zone: '',
  instanceType: name,
  capacityType: capacityType ?? 'on_demand',
});

const annotatedOffering = (cluster: string, node: ObservedNode): CatalogueRow['offering'] => {
  const key = annotatedKey(cluster, node);
  return {
    id: offeringIdOf(key),
    ...key,
    architecture: node.labels['kubernetes.io/arch'] ?? 'unknown',
    ...node.capacity,
    interruptionBand: null,
  };
};
