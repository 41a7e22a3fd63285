import type { PackingRow } from './compare-packing.ts';

const HEAD = ['POLICY', 'ALLOCATED', 'MOVED', 'ARRIVED', 'PLACED', 'REFUSED', 'DECISIONS/S'];

/** The rows for people. */
export function packingText(rows: readonly PackingRow[]): string {
  const lines = [HEAD, ...rows.map(cellsOf)];
  const widths = HEAD.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  return lines
    .map((cells) =>
      cells
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const cellsOf = (row: PackingRow): string[] => [
  row.policy,
  `${(row.allocatedShare * 100).toFixed(2)} %`,
  `${(row.movedShare * 100).toFixed(2)} %`,
  String(row.arrived),
  String(row.placed),
  Object.entries(row.refused)
    .map(([code, count]) => `${count} ${code}`)
    .join(', '),
  String(row.decisionsPerSecond),
];
