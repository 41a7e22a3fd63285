import type { Id } from '../kernel/id.ts';
import { MINUTE_MS, type Instant } from '../kernel/instant.ts';
import { attributeNode, costOfNodeMinute, type PodOnNode, type PodPiece } from './attribute-node.ts';
import { splitCosts, type BusyGroup, type LineShare, type StateCost } from './attribute-costs.ts';
import type { CostedReplica } from './cost-store.port.ts';
import { resourceOfNode, resourceOfReplica, type LedgerLine, type LineResource } from './ledger-line.ts';
import type { CostedNode, PlacedPod } from './node-cost-store.port.ts';
import { piecesOf } from './replica-life.ts';
import { restate, type BookedLine } from './restate.ts';
import type { Violation } from './settle.ts';

/** A node with the replicas that were on it and their usage by minute. */
export interface NodeFactsOfMinutes {
  readonly node: CostedNode;
  readonly replicas: ReadonlyMap<Id, CostedReplica>;
  readonly usage: ReadonlyMap<Id, ReadonlyMap<Instant, readonly BusyGroup[]>>;
}

export interface SettleNodeInput extends NodeFactsOfMinutes {
  readonly minutes: readonly Instant[];
  readonly booked: ReadonlyMap<Instant, ReadonlyMap<Id, readonly BookedLine[]>>;
}

/** The lines that are missing so that these minutes of the node say what is known now, and the minutes that would still not add up. */
export function settleNode(input: SettleNodeInput): { lines: LedgerLine[]; violations: Violation[] } {
  const lines: LedgerLine[] = [];
  const violations: Violation[] = [];
  for (const minute of input.minutes) {
    const truth = linesOfNode(input, minute, minute + MINUTE_MS);
    const before = input.booked.get(minute) ?? new Map<Id, readonly BookedLine[]>();
    const missing = [...new Set([...truth.keys(), ...before.keys()])].flatMap((resourceId) =>
      restate(before.get(resourceId) ?? [], truth.get(resourceId) ?? []).map((line) => ({
        ...resourceOf(input, resourceId, line),
        ...line,
        minute,
      })),
    );
    lines.push(...missing);
    const found = [...[...before.values()].flat(), ...missing].reduce((all, line) => all + line.effective, 0n);
    const expected = costOfNodeMinute(input.node, minute);
    if (found !== expected) violations.push({ promise: 'minute', minute, expected, found });
  }
  return { lines, violations };
}

/** The lines of one node-minute by resource: the node itself, its replicas and everybody else's pods. They sum to the cost of the minute. */
export function linesOfNode(facts: NodeFactsOfMinutes, minute: Instant, knownUntil: Instant): Map<Id, LineShare[]> {
  const { node, replicas } = facts;
  const end = Math.min(minute + MINUTE_MS, knownUntil);
  const pods = node.pods.map((pod) => podIn(pod, replicas.get(pod.podId), minute, end));
  const shares = attributeNode({ minute, knownUntil, node, pods: pods.filter(({ pieces }) => pieces.length > 0) });
  const lines = new Map<Id, LineShare[]>([[node.nodeId, ofNobody(shares.idle)]]);
  for (const [podId, costs] of shares.pods) {
    const replica = replicas.get(podId);
    const usage = facts.usage.get(podId)?.get(minute) ?? [];
    lines.set(podId, replica ? splitCosts({ ...replica, minute, knownUntil, usage }, costs) : ofNobody(costs.filter(isPaid)));
  }
  return lines;
}

/** The names that a line bears: a state is a replica's, no state is nobody's. */
export function resourceOf({ node, replicas }: NodeFactsOfMinutes, resourceId: Id, line: LineShare): LineResource {
  const replica = replicas.get(resourceId);
  const offeringId = offeringOf(node, line.priceId);
  return replica && line.state !== ''
    ? resourceOfReplica(replica, { nodeId: node.nodeId, offeringId })
    : resourceOfNode(node, resourceId, offeringId);
}

/** Of whom the price is; where there is none, of the newest shape. */
const offeringOf = ({ shapes }: CostedNode, priceId: Id | null): Id | null =>
  (shapes.find(({ steps }) => steps.some((step) => step.priceId === priceId)) ?? shapes.at(-1))?.offeringId ?? null;

const ofNobody = (costs: readonly StateCost[]): LineShare[] => costs.map((cost) => ({ ...cost, group: null }));

/** Other people's pods have lines only where they cost something; that the node has no price, its own line says. */
const isPaid = ({ list, contracted, effective }: StateCost): boolean => list > 0n || contracted > 0n || effective > 0n;

/** A replica is there while it lives; of other pods only the place is known. */
function podIn(pod: PlacedPod, replica: CostedReplica | undefined, from: Instant, to: Instant): PodOnNode {
  const pieces = pod.placements.flatMap((placement): PodPiece[] => {
    const [start, end] = [Math.max(from, placement.from), Math.min(to, placement.to)];
    if (start >= end) return [];
    const { requests } = placement;
    if (!replica) return [{ from: start, to: end, state: '', requests }];
    return piecesOf(replica.life, start, end).map((piece) => ({ ...piece, requests }));
  });
  return { podId: pod.podId, pieces, use: pod.use.get(from) ?? { cpuMilli: null, memoryMib: null } };
}
