import type { Random } from '../kernel/random.ts';

/** Bytes drawn at a time. Higher: more unused randomness lies in memory; lower: more calls into the source. */
const POOL_BYTES = 8192;
const FRACTION_BYTES = 6;

/** Randomness drawn in bulk, for a process that needs a little for every request; each byte is handed out once. */
export class PooledRandom implements Random {
  readonly #source: Random;
  #pool: Buffer;
  #used = 0;

  constructor(source: Random) {
    this.#source = source;
    this.#pool = Buffer.from(source.bytes(POOL_BYTES));
  }

  bytes(count: number): Uint8Array {
    if (count > POOL_BYTES) return this.#source.bytes(count);
    const from = this.#take(count);
    return this.#pool.subarray(from, from + count);
  }

  fraction(): number {
    const from = this.#take(FRACTION_BYTES);
    return this.#pool.readUIntBE(from, FRACTION_BYTES) / 2 ** (8 * FRACTION_BYTES);
  }

  /** Where `count` unused bytes begin. A new pool is new memory, so that what was handed out stays as it was. */
  #take(count: number): number {
    if (this.#used + count > POOL_BYTES) {
      this.#pool = Buffer.from(this.#source.bytes(POOL_BYTES));
      this.#used = 0;
    }
    const from = this.#used;
    this.#used += count;
    return from;
  }
}
