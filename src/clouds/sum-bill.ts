import type { PicoUsd } from '../kernel/money.ts';
import type { Bill, BillLine } from './bill.port.ts';

/** What one service in one region was charged. */
export interface BillShare {
  readonly serviceName: string;
  readonly regionId: string | null;
  readonly billed: PicoUsd;
  readonly effective: PicoUsd;
  readonly lines: number;
}

/** Shares by size, the largest first; they sum to the bill. */
export function sharesOf({ lines }: Bill): BillShare[] {
  const groups = Map.groupBy(lines, ({ serviceName, regionId }) => JSON.stringify([serviceName, regionId]));
  return [...groups.values()].flatMap((group) => shareOf(group)).sort(largestFirst);
}

function shareOf(group: readonly BillLine[]): BillShare[] {
  const [first] = group;
  if (!first) return [];
  const { serviceName, regionId } = first;
  const sum = (of: (line: BillLine) => PicoUsd): PicoUsd => group.reduce((total, line) => total + of(line), 0n);
  const [billed, effective] = [sum((line) => line.billedCost), sum((line) => line.effectiveCost)];
  return [{ serviceName, regionId, billed, effective, lines: group.length }];
}

function largestFirst(a: BillShare, b: BillShare): number {
  if (a.billed !== b.billed) return a.billed > b.billed ? -1 : 1;
  return `${a.serviceName} ${a.regionId}` < `${b.serviceName} ${b.regionId}` ? -1 : 1;
}
