import { DAY_MS } from '../kernel/instant.ts';
import type { SpotRow } from './compare-spot.ts';
import type { SpotGroup } from './spot-market.ts';

const HEAD = ['POLICY', 'SETTING', 'TO ON-DEMAND', 'TO CLAIRVOYANT', 'FILLED', 'WORST LOSS', 'MOVES'];

/** The rows of one group for people, under what it was. */
export const spotText = (group: SpotGroup, rows: readonly SpotRow[]): string =>
  [`${group.name}: ${extentOf(group)}`, ...columns([HEAD, ...rows.map(cellsOf)])].join('\n');

function extentOf({ traces, tickMs, ticks }: SpotGroup): string {
  const pools = `${traces.length} ${traces.length === 1 ? 'pool' : 'pools'}`;
  const days = `${((ticks * tickMs) / DAY_MS).toFixed(1)} days`;
  return `${pools}, ${days}, a tick is ${tickMs / 1000} s${traces.some(({ prices }) => prices) ? ', at recorded prices' : ''}`;
}

const cellsOf = (row: SpotRow): string[] => [
  row.policy,
  row.setting,
  row.costToOnDemand.toFixed(3),
  row.costToClairvoyant.toFixed(3),
  `${(row.filledShare * 100).toFixed(2)} %`,
  `${row.worstLossTicks.toFixed(1)} ticks`,
  String(row.moves),
];

function columns(lines: readonly (readonly string[])[]): string[] {
  const widths = HEAD.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  return lines.map((cells) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
