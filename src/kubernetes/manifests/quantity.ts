const QUANTITY = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E))?$/;
const POWERS: Readonly<Record<string, number>> = {
  ...{ n: 1e-9, u: 1e-6, m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18 },
  ...{ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60 },
};
const MIB = 2 ** 20;
/** Decimal fractions are not exact in binary: `0.3` CPU is 300 thousandths and not 301. */
const ALMOST = 1e-6;

/** The number that a Kubernetes quantity stands for (`250m`, `1.5Gi`, `2e3`); null if it is none. */
export function readQuantity(text: string): number | null {
  const match = QUANTITY.exec(text.trim());
  if (!match) return null;
  const [, mantissa = '', exponent = '', suffix] = match;
  return Number(`${mantissa}${exponent}`) * (suffix === undefined ? 1 : (POWERS[suffix] ?? 1));
}

/** Thousandths of a CPU, upwards as Kubernetes rounds; 0 where it is missing or not a quantity. */
export const cpuMilliOf = (text: string | undefined): number => Math.max(0, Math.ceil(amount(text) * 1000 - ALMOST));

/** MiB of memory that are there: downwards. */
export const memoryMibThere = (text: string | undefined): number => Math.floor(amount(text) / MIB);

/** MiB of memory that are asked for: upwards. */
export const memoryMibAsked = (text: string | undefined): number => Math.ceil(amount(text) / MIB);

/** A count, as of devices. */
export const countOf = (text: string | undefined): number => Math.floor(amount(text));

const amount = (text: string | undefined): number => Math.max(0, (text === undefined ? null : readQuantity(text)) ?? 0);
