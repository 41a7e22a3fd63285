const HOUR_US = 3_600_000_000n;

/** What `busyUs` of a replica's time cost: `div(rate·d_us, 3 600 000 000·c)` pico-dollars. */
export const stampOf = (ratePicoUsdPerHour: bigint, busyUs: number, concurrency: number): bigint =>
  (ratePicoUsdPerHour * BigInt(busyUs)) / (HOUR_US * BigInt(concurrency));
