import { PICO_PER_USD, type PicoUsd } from '../kernel/money.ts';

interface EgressPrices {
  /** To another region of the same provider, and to anywhere else; per GiB. */
  readonly within: PicoUsd;
  readonly out: PicoUsd;
}

const cents = (tenths: bigint): PicoUsd => (tenths * PICO_PER_USD) / 1_000n;

/** Public list prices of the first paid tier, regions of North America; NOTICE names the pages. Own machines send for nothing. */
const PRICES: Readonly<Record<string, EgressPrices>> = {
  aws: { within: cents(20n), out: cents(90n) },
  azure: { within: cents(20n), out: cents(87n) },
  gcp: { within: cents(20n), out: cents(120n) },
};

const FREE: EgressPrices = { within: 0n, out: 0n };

const providerOf = (region: string): string => region.slice(0, region.indexOf('/'));

/** What a GiB costs from one `provider/region` to another; the sender pays. */
export function egressPerGib(from: string, to: string): PicoUsd {
  if (from === to) return 0n;
  const { within, out } = PRICES[providerOf(from)] ?? FREE;
  return providerOf(from) === providerOf(to) ? within : out;
}
