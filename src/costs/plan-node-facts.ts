import type { InventoryObservation, NodeResources, ObservedNode } from '../fleet/cluster-inventory.port.ts';
import type { Id } from '../kernel/id.ts';
import { MINUTE_MS, type Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import { UNIT_PRICES_NOW, type Quantities } from './attribute-node.ts';

/** What a node has and is priced by, from an instant on. */
export interface ShapeFact {
  readonly capacity: Quantities;
  readonly unitPrices: number;
  readonly offeringId: Id | null;
  /** Price on the node itself; null = the labels' offering counts. */
  readonly annotated: PicoUsdPerHour | null;
}

/** A node as it is written down, with its newest shape. */
export interface KnownNode {
  readonly nodeId: Id;
  readonly capacityFrom: Instant;
  readonly capacityUntil: Instant | null;
  readonly sampledThrough: Instant;
  readonly shape: ShapeFact & { readonly n: number };
}

/** The newest placement of a pod that is written down. */
export interface KnownPod {
  readonly podId: Id;
  readonly nodeId: Id;
  readonly from: Instant;
  readonly until: Instant | null;
  readonly requests: Quantities;
}

export interface NewPlacement {
  readonly podId: Id;
  readonly nodeId: Id;
  readonly from: Instant;
  readonly namespace: string;
  readonly name: string;
  readonly requests: Quantities;
}

/** What is to be written down. */
export interface NodeFacts {
  readonly nodes: readonly { readonly nodeId: Id; readonly name: string; readonly from: Instant }[];
  readonly shapes: readonly (ShapeFact & { readonly nodeId: Id; readonly n: number; readonly at: Instant })[];
  /** Null: it is there after all. */
  readonly ends: readonly { readonly nodeId: Id; readonly until: Instant | null; readonly estimated: boolean }[];
  readonly placements: readonly NewPlacement[];
  readonly left: readonly { readonly podId: Id; readonly from: Instant; readonly until: Instant }[];
  /** From when on nodes may cost somebody else something than closed minutes say. */
  readonly stale: readonly { readonly nodeId: Id; readonly from: Instant }[];
}

export interface NodeFactsInput {
  readonly nodes: readonly KnownNode[];
  readonly pods: readonly KnownPod[];
  readonly inventory: InventoryObservation;
  /** What each observed node is priced by, by uid. */
  readonly offerings: ReadonlyMap<Id, Id | null>;
  /** The observation before; null = unknown. */
  readonly before: Instant | null;
}

/** After a longer silence nobody knows when a node went. Higher bills what was gone, lower takes a slow look for an outage. */
const WATCHED_MS = 2 * MINUTE_MS;

/** The differences between what is written down and what was observed; nothing where all is known. */
export function planNodeFacts(input: NodeFactsInput): NodeFacts {
  const known = new Map(input.nodes.map((node) => [node.nodeId, node]));
  const seen = new Map(input.inventory.nodes.map((node) => [node.uid, node]));
  const at = input.inventory.observedAt;
  const nodes = input.inventory.nodes.flatMap((node) => newNode(node, known.get(node.uid), at));
  const shapes = input.inventory.nodes.flatMap((node) => newShape(node, known.get(node.uid), input));
  const ends = input.nodes.flatMap((node) => endOf(node, seen.has(node.nodeId), input));
  const moves = planPods(input);
  const stale = [
    ...shapes.map(({ nodeId, at: from }) => ({ nodeId, from })),
    ...ends.map(({ nodeId, until }) => ({ nodeId, from: Math.min(until ?? at, known.get(nodeId)?.capacityUntil ?? at) })),
    ...moves.stale,
  ];
  return { nodes, shapes, ends, placements: moves.placements, left: moves.left, stale };
}

export const isNoFact = ({ nodes, shapes, ends, placements, left }: NodeFacts): boolean =>
  nodes.length + shapes.length + ends.length + placements.length + left.length === 0;

export const quantitiesOf = ({ cpuMilli, memoryMib, accelerator }: NodeResources): Quantities => ({
  cpuMilli,
  memoryMib,
  gpuMilli: accelerator?.countMilli ?? 0,
});

const newNode = ({ uid, name, from }: ObservedNode, known: KnownNode | undefined, at: Instant): NodeFacts['nodes'] =>
  known ? [] : [{ nodeId: uid, name, from: Math.min(from, at) }];

function newShape(node: ObservedNode, known: KnownNode | undefined, input: NodeFactsInput): NodeFacts['shapes'] {
  const offeringId = input.offerings.get(node.uid) ?? null;
  const shape = { capacity: quantitiesOf(node.capacity), offeringId, annotated: node.pricePerHour };
  if (known && isSameShape(known.shape, shape)) return [];
  const at = known ? input.inventory.observedAt : Math.min(node.from, input.inventory.observedAt);
  return [{ ...shape, unitPrices: UNIT_PRICES_NOW, nodeId: node.uid, n: (known?.shape.n ?? -1) + 1, at }];
}

const isSameShape = (known: ShapeFact, now: Omit<ShapeFact, 'unitPrices'>): boolean =>
  known.offeringId === now.offeringId &&
  known.annotated === now.annotated &&
  known.unitPrices === UNIT_PRICES_NOW &&
  isSame(known.capacity, now.capacity);

const isSame = (a: Quantities, b: Quantities): boolean =>
  a.cpuMilli === b.cpuMilli && a.memoryMib === b.memoryMib && a.gpuMilli === b.gpuMilli;

/** A node that is not named any more has ended: now if it was named a moment ago, else when it was last heard of. */
function endOf(node: KnownNode, isSeen: boolean, { inventory, before }: NodeFactsInput): NodeFacts['ends'] {
  const { nodeId, capacityUntil, capacityFrom, sampledThrough } = node;
  if (isSeen) return capacityUntil === null ? [] : [{ nodeId, until: null, estimated: false }];
  if (capacityUntil !== null) return [];
  const at = inventory.observedAt;
  if (before !== null && at - before <= WATCHED_MS) return [{ nodeId, until: Math.max(at, capacityFrom), estimated: false }];
  const heard = sampledThrough > 0 ? Math.min(sampledThrough, at) : at;
  return [{ nodeId, until: Math.max(heard, before ?? 0, capacityFrom), estimated: true }];
}

function planPods({ pods, inventory }: NodeFactsInput): Pick<NodeFacts, 'placements' | 'left' | 'stale'> {
  const at = inventory.observedAt;
  const known = new Map(pods.map((pod) => [pod.podId, pod]));
  const seen = inventory.nodes.flatMap((node) => node.pods.map((pod) => ({ ...pod, nodeId: node.uid })));
  const here = new Set(seen.map(({ uid }) => uid));
  const placements = seen.flatMap(({ uid, nodeId, namespace, name, from, requests }) => {
    const last = known.get(uid);
    const wanted = quantitiesOf(requests);
    if (last && isThere(last, nodeId, wanted)) return [];
    // What is known was so until now; only the first word of a pod reaches back to when it was bound.
    return [
      { podId: uid, nodeId, from: last ? Math.max(at, last.from + 1) : Math.min(from, at), namespace, name, requests: wanted },
    ];
  });
  const replaced = new Set(placements.map(({ podId }) => podId));
  const left = pods
    .filter(({ podId, until }) => until === null && (!here.has(podId) || replaced.has(podId)))
    .map(({ podId, from }) => ({ podId, from, until: Math.max(at, from + 1) }));
  const nodeOf = new Map(pods.map(({ podId, nodeId }) => [podId, nodeId]));
  const stale = [
    ...placements.map(({ nodeId, from }) => ({ nodeId, from })),
    ...left.map(({ podId, until }) => ({ nodeId: nodeOf.get(podId) ?? podId, from: until })),
  ];
  return { placements, left, stale };
}

const isThere = (last: KnownPod, nodeId: Id, requests: Quantities): boolean =>
  last.nodeId === nodeId && last.until === null && isSame(last.requests, requests);
