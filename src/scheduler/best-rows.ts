/** The best few of many rows, by value and then by key; a row that is not among them costs one comparison. */
export class BestRows {
  readonly #rows: number[] = [];
  readonly #values: number[] = [];
  readonly #limit: number;
  readonly #keyOf: (row: number) => string;
  #worst = Infinity;

  constructor(limit: number, keyOf: (row: number) => string) {
    this.#limit = limit;
    this.#keyOf = keyOf;
  }

  get rows(): readonly number[] {
    return this.#rows;
  }

  /** What is dearer is not among them. */
  get worst(): number {
    return this.#worst;
  }

  offer(row: number, value: number): void {
    if (value > this.#worst) return;
    let at = this.#rows.length;
    while (at > 0 && this.#isBefore(row, value, at - 1)) at -= 1;
    if (at >= this.#limit) return;
    this.#rows.splice(at, 0, row);
    this.#values.splice(at, 0, value);
    if (this.#rows.length > this.#limit) {
      this.#rows.pop();
      this.#values.pop();
    }
    if (this.#rows.length === this.#limit) this.#worst = this.#values[this.#limit - 1] ?? Infinity;
  }

  #isBefore(row: number, value: number, at: number): boolean {
    const other = this.#values[at] ?? Infinity;
    if (value !== other) return value < other;
    return this.#keyOf(row) < this.#keyOf(this.#rows[at] ?? 0);
  }
}
