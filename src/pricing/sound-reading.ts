import type { OfferingKey } from '../clouds/offering-key.ts';
import type { ObservedPrice, PriceReading, UnreadableRow } from '../clouds/price-feed.port.ts';

/** Characters of a name or an amount that are looked at. Higher: a broken source fills the tables; lower: long names of machines are cut. */
const MAX_TEXT = 200;
/** Nobody sees them, or they are none. */
const ODD = /[\p{C}\uFFFD]/u;

/**
 * A reading whose texts can be kept and compared: rows whose names or dates are none are told as unreadable, and what is no text in an amount, a
 * unit or a currency stands there as U+FFFD, so that it is doubted and shown.
 */
export function soundReading(reading: PriceReading): PriceReading {
  const prices: ObservedPrice[] = [];
  const unreadable: UnreadableRow[] = [...reading.unreadable];
  for (const row of reading.prices) {
    const reason = isSoundKey(row.key) ? (isDate(row.effectiveFrom) ? null : 'Its date is none.') : 'Its name is none.';
    if (reason === null) prices.push(isTidy(row) ? row : tidied(row));
    else unreadable.push({ ref: tidy(`${row.key.region}/${row.key.zone}/${row.key.instanceType}`), reason });
  }
  return { ...reading, prices, unreadable };
}

/** True where each part is a name as people write them: short, visible, without space around it. */
export const isSoundKey = ({ provider, region, zone, instanceType }: OfferingKey): boolean =>
  [provider, region, instanceType].every((text) => text !== '' && isName(text)) && isName(zone);

/** Of what is kept and compared. */
export const isName = (text: string): boolean =>
  text.length <= MAX_TEXT && !ODD.test(text) && text === text.trim() && text === text.normalize('NFC');

const isDate = (at: number | null): boolean => at === null || (Number.isSafeInteger(at) && at >= 0);

const isTidy = ({ amount, unit, currency }: ObservedPrice): boolean =>
  [amount, unit, currency].every((text) => text.length <= MAX_TEXT && !ODD.test(text));

const tidied = (row: ObservedPrice): ObservedPrice => ({
  ...row,
  amount: tidy(row.amount),
  unit: tidy(row.unit),
  currency: tidy(row.currency),
});

const tidy = (text: string): string => text.slice(0, MAX_TEXT).replaceAll(/\p{C}/gu, '\uFFFD').toWellFormed();
