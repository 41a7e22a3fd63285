import type { Instant } from '../kernel/instant.ts';
import { splitByLargestRemainder } from '../kernel/money.ts';
import type { CostSpreading, OpenLine } from './cost-breakdown.ts';
import { groupKeyOf } from './ledger-line.ts';

/**
 * The platform's lines of shared nodes given to the replicas beside them, each minute and kind by itself: by the replicas' own cost and the
 * largest remainder, ties by the bytes of the line's key. The sum stays what it was; where there is no replica that cost something, the
 * lines stay the platform's. `cost-query.repository.ts` says the same in SQL.
 */
export function spreadLines(lines: readonly OpenLine[], spreading: CostSpreading): OpenLine[] {
  if (spreading === 'NONE') return [...lines];
  const placeOf = ({ minute, nodeId, clusterId }: OpenLine): string =>
    `${minute} ${spreading === 'BY_NODE' ? (nodeId ?? '') : clusterId}`;
  const receivers = Map.groupBy(lines.filter(isReplica), placeOf);
  const given = Map.groupBy(
    lines.filter((line) => !isReplica(line)),
    (line) => `${placeOf(line)} ${line.kind}`,
  );
  const spread = [...given.values()].flatMap((pool) => {
    const [first] = pool;
    return first ? spreadPool(pool, first, receivers.get(placeOf(first)) ?? []) : [];
  });
  return [...lines.filter(isReplica), ...spread];
}

const isReplica = ({ kind }: OpenLine): boolean => kind === 'replica';

function spreadPool(pool: readonly OpenLine[], { kind, minute }: OpenLine, receivers: readonly OpenLine[]): OpenLine[] {
  const byKey = new Map(receivers.map((line) => [keyOf(line), line]));
  const weights = [...byKey].map(([key, line]) => ({ key, weight: line.effective }));
  if (weights.every(({ weight }) => weight === 0n)) return [...pool];
  const split = (amount: 'list' | 'contracted' | 'effective'): Map<string, bigint> =>
    splitByLargestRemainder(
      pool.reduce((sum, line) => sum + line[amount], 0n),
      weights,
    );
  const [list, contracted, effective] = [split('list'), split('contracted'), split('effective')];
  const shares = [...byKey].map(([key, line]): OpenLine => {
    const amounts = { list: list.get(key) ?? 0n, contracted: contracted.get(key) ?? 0n, effective: effective.get(key) ?? 0n };
    return { ...line, ...amounts, kind, minute, state: '', ms: 0, priceId: SPREAD, assumed: false };
  });
  // Time without a price stays with the node.
  return [...pool.filter(({ priceId }) => priceId === null), ...shares];
}

/** Stands for the several prices that a share may come from; it is never null, which would mean unpriced time. */
const SPREAD = 'spread';

const keyOf = (line: OpenLine & { readonly minute: Instant }): string =>
  [line.resourceId, line.priceId ?? '', line.state, groupKeyOf(line.group), line.nodeId ?? ''].join('\0');
