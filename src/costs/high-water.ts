/** Which sequences of one source were counted: all up to `mark`, and those of `above`. */
export interface HighWater {
  readonly mark: number;
  readonly above: readonly number[];
}

/** Sequences above a gap that are remembered. Higher grows the row, lower refuses a router whose old spool comes last. */
export const MAX_ABOVE = 10_000;

export const wasCounted = ({ mark, above }: HighWater, sequence: number): boolean => sequence <= mark || above.includes(sequence);

/** With `sequence` counted; the mark rises over everything that has become contiguous. */
export function count(water: HighWater, sequence: number): HighWater {
  if (wasCounted(water, sequence)) return water;
  const above = new Set([...water.above, sequence]);
  let mark = water.mark;
  while (above.delete(mark + 1)) mark += 1;
  return { mark, above: [...above].sort((a, b) => a - b) };
}
