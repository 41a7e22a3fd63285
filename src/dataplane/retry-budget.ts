/** Share of requests that may be sent again. Higher: retries pile onto a struggling deployment; lower: a dying replica is felt. */
const RATIO = 0.2;
/** Retries per second that are always allowed. Too low: quiet deployments get none; too high: it defeats the ratio. */
const FLOOR_PER_SECOND = 10;
/** Most retries that can be saved up: all requests in flight on one replica that dies must fit. Higher: a storm is possible. */
const CAP = 256;

/** Retries of one deployment as a bucket that requests and time fill. */
export class RetryBudget {
  #balance = CAP;
  #filledAt: number;

  constructor(nowMs: number) {
    this.#filledAt = nowMs;
  }

  deposit(): void {
    this.#balance = Math.min(CAP, this.#balance + RATIO);
  }

  /** True when one more retry is within the budget; takes it. */
  withdraw(nowMs: number): boolean {
    const earned = (Math.max(0, nowMs - this.#filledAt) * FLOOR_PER_SECOND) / 1000;
    this.#balance = Math.min(CAP, this.#balance + earned);
    this.#filledAt = nowMs;
    if (this.#balance < 1) return false;
    this.#balance -= 1;
    return true;
  }
}
