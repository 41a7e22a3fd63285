import { MINUTE_MS, minuteOf, type Instant } from '../kernel/instant.ts';
import type { Id } from '../kernel/id.ts';
import { attributeMinute, type BusyGroup } from './attribute-costs.ts';
import type { OpenLine } from './cost-breakdown.ts';
import type { CostedReplica } from './cost-store.port.ts';
import { resourceOfReplica } from './ledger-line.ts';
import type { CostedNode } from './node-cost-store.port.ts';
import { linesOfNode, resourceOf } from './settle-node.ts';
import { minutesBetween } from './settle.ts';

export interface OpenSpan {
  readonly id: Id;
  readonly from: Instant;
  readonly to: Instant;
}

/** What open minutes are computed with. */
export interface OpenFacts {
  readonly replicas: ReadonlyMap<Id, CostedReplica>;
  readonly usage: ReadonlyMap<Id, ReadonlyMap<Instant, readonly BusyGroup[]>>;
  readonly now: Instant;
}

/** The minutes of a replica or a node that are not closed and that a range touches. */
export function openSpan(
  id: Id,
  { closedUntil, capacityUntil }: { readonly closedUntil: Instant; readonly capacityUntil: Instant | null },
  { from, to, now }: { readonly from: Instant; readonly to: Instant; readonly now: Instant },
): OpenSpan {
  const end = Math.min(capacityUntil ?? now, now);
  return { id, from: Math.max(from, closedUntil), to: Math.min(to, minuteOf(end + MINUTE_MS - 1)) };
}

/** What a replica's open minutes cost at its own offering's price, if no more comes. */
export function openLinesOfReplica(span: OpenSpan, replica: CostedReplica, { usage, now }: OpenFacts): OpenLine[] {
  const resource = resourceOfReplica(replica, null);
  return minutesBetween(span.from, span.to).flatMap((minute) =>
    attributeMinute({ ...replica, minute, knownUntil: now, usage: usage.get(span.id)?.get(minute) ?? [] }).map((line) => ({
      ...resource,
      ...line,
      minute,
      assumed: line.priceId !== null && replica.assumedPrices.has(line.priceId),
    })),
  );
}

/** What a node's open minutes cost, and whom. */
export function openLinesOfNode(span: OpenSpan, node: CostedNode, { replicas, usage, now }: OpenFacts): OpenLine[] {
  const facts = { node, replicas, usage };
  return minutesBetween(span.from, span.to).flatMap((minute) =>
    [...linesOfNode(facts, minute, now)].flatMap(([resourceId, lines]) =>
      lines.map((line) => ({ ...resourceOf(facts, resourceId, line), ...line, minute, assumed: false })),
    ),
  );
}
