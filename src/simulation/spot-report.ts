import type { SpotRow } from './compare-spot.ts';

const HEAD = ['POLICY', 'SETTING', 'TO ON-DEMAND', 'TO CLAIRVOYANT', 'FILLED', 'WORST LOSS', 'MOVES'];

/** The rows for people, a table per group. */
export function spotText(rows: readonly SpotRow[]): string {
  return [...Map.groupBy(rows, ({ group }) => group)]
    .map(([group, own]) => [group, ...columns([HEAD, ...own.map(cellsOf)])].join('\n'))
    .join('\n\n');
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
