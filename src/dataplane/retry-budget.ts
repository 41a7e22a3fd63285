/** Thousandths of a retry that each request earns. Higher: retries pile onto a struggling deployment; lower: a dying replica is felt. */
const EARNED_MILLI = 200;
/** Retries per second that are always allowed. Too low: quiet deployments get none; too high: it defeats the ratio. */
const FLOOR_PER_SECOND = 10;
/** Most retries that can be saved up: all requests in flight on one replica that dies must fit. Higher: a storm is possible. */
const CAP_MILLI = 256_000;
const RETRY_MILLI = 1000;

/** Retries of one deployment as a bucket that requests and time fill. */
export class RetryBudget {
  #balanceMilli = CAP_MILLI;
  #filledAt: number;

  constructor(nowMs: number) {
    this.#filledAt = nowMs;
  }

  deposit(): void {
    this.#balanceMilli = Math.min(CAP_MILLI, this.#balanceMilli + EARNED_MILLI);
  }

  /** True when one more retry is within the budget; takes it. */
  withdraw(nowMs: number): boolean {
    // One thousandth per millisecond and unit of the floor.
    const earned = Math.max(0, nowMs - this.#filledAt) * FLOOR_PER_SECOND;
    this.#balanceMilli = Math.min(CAP_MILLI, this.#balanceMilli + earned);
    this.#filledAt = nowMs;
    if (this.#balanceMilli < RETRY_MILLI) return false;
    this.#balanceMilli -= RETRY_MILLI;
    return true;
  }
}
