/** A record longer than this is none. Higher: memory; lower: long tags look like damage. */
const MAX_RECORD = 1024 * 1024;

/**
 * Comma-separated values of RFC 4180, as they arrive: cells may be quoted, and quoted ones hold commas, line ends and doubled quotes. `add`
 * answers the records that are complete; `end` the last one, if no line end closes it.
 */
export class CsvReader {
  #cells: string[] = [];
  #cell = '';
  #size = 0;
  #isQuoted = false;
  /** The last character was a quote in a quoted cell: its end, or the first of two. */
  #mayEnd = false;

  add(text: string): string[][] {
    const records: string[][] = [];
    for (const character of text) {
      const record = this.#take(character);
      if (record) records.push(record);
    }
    return records;
  }

  /** Throws where the text ends within a quoted cell. */
  end(): string[] | null {
    if (this.#isQuoted && !this.#mayEnd) throw new Error('it ends within a cell');
    return this.#cells.length > 0 || this.#cell !== '' ? this.#close() : null;
  }

  #take(character: string): string[] | null {
    this.#size += character.length;
    if (this.#size > MAX_RECORD) throw new Error(`a record is longer than ${MAX_RECORD} characters`);
    if (this.#isQuoted && !this.#mayEnd) {
      if (character === '"') this.#mayEnd = true;
      else this.#cell += character;
      return null;
    }
    return this.#takeUnquoted(character);
  }

  #takeUnquoted(character: string): string[] | null {
    // A quote within a cell that does not begin with one is a character like any other.
    if (character === '"' && (this.#mayEnd || this.#cell === '')) {
      // The second of two is one that is meant.
      if (this.#mayEnd) this.#cell += '"';
      this.#isQuoted = true;
      this.#mayEnd = false;
      return null;
    }
    if (character === '\r') return null;
    if (character === '\n') return this.#cells.length > 0 || this.#cell !== '' ? this.#close() : null;
    if (character === ',') this.#closeCell();
    else this.#cell += character;
    return null;
  }

  #closeCell(): void {
    this.#cells.push(this.#cell);
    this.#cell = '';
    this.#isQuoted = false;
    this.#mayEnd = false;
  }

  #close(): string[] {
    this.#closeCell();
    const cells = this.#cells;
    this.#cells = [];
    this.#size = 0;
    return cells;
  }
}
