// One suite for every source of prices, a provider's own or a public list: a factory opens one, and only the port is used.
import { afterEach, describe, expect, test } from 'vitest';
import { CloudUnknown } from '../../src/clouds/cloud-provider.port.ts';
import { offeringIdOf, offeringKeyText, regionOf } from '../../src/clouds/offering-key.ts';
import type { PriceFeed } from '../../src/clouds/price-feed.port.ts';
import { TROUBLES, type CloudTrouble } from './cloud-provider-suite.ts';

/** How pages of an answer go wrong: one comes twice, or the way to the next one is lost and what came looks like all. */
export const PAGE_FAULTS = ['repeats', 'loses its successor'] as const;
export type PageFault = (typeof PAGE_FAULTS)[number];

/** A feed that has something to say of at least two regions. */
export interface PriceFeedSubject {
  readonly feed: PriceFeed;
  /** `provider/region`, two of them with prices. */
  readonly regions: readonly [string, string];
  close?(): void | Promise<void>;
  /** From now on the source's answers have one row that cannot be read beside all the good ones. */
  damage?(): void | Promise<void>;
  /** From now on a page does so; an answer then has several. */
  breakPages?(how: PageFault): void | Promise<void>;
  /** From now on every call fares so. */
  trouble?(how: CloudTrouble): void | Promise<void>;
}

/** `lists`: it says what can be rented, not only what it costs. */
export type PriceFeedAbility = 'lists' | 'damage' | 'breakPages' | 'trouble';

export function priceFeedSuite(
  name: string,
  can: readonly PriceFeedAbility[],
  open: () => PriceFeedSubject | Promise<PriceFeedSubject>,
): void {
  describe(`Cloud port: prices of ${name}`, () => {
    const opened: PriceFeedSubject[] = [];
    afterEach(async () => {
      for (const subject of opened.splice(0)) await subject.close?.();
    });
    const fresh = async (): Promise<PriceFeedSubject> => {
      const subject = await open();
      opened.push(subject);
      return subject;
    };
    const priced = async ({ feed }: PriceFeedSubject, regions: readonly string[]): Promise<string[]> =>
      (await feed.observePrices(regions)).prices.map(({ key }) => offeringKeyText(key)).sort();

    test('each price has one key, of a region that was asked for, and says amount, unit and currency as they were written', async () => {
      const { feed, regions } = await fresh();
      const { prices, unreadable } = await feed.observePrices(regions);
      expect(prices.length).toBeGreaterThan(1);
      expect(unreadable).toEqual([]);
      expect(new Set(prices.map(({ key }) => offeringKeyText(key))).size).toBe(prices.length);
      expect(new Set(prices.map(({ key }) => regionOf(key)))).toEqual(new Set(regions));
      for (const { amount, currency, unit } of prices) {
        expect(amount).toMatch(/^\d+(\.\d+)?$/);
        expect([currency, unit]).toEqual(['USD', 'hour']);
      }
    });

    test('one region more or less changes nothing of the others; those of other providers are passed over', async () => {
      const subject = await fresh();
      const [first, second] = subject.regions;
      const [one, other] = [await priced(subject, [first]), await priced(subject, [second])];
      expect(one.length).toBeGreaterThan(0);
      expect(await priced(subject, [second, first])).toEqual([...one, ...other].sort());
      expect(await priced(subject, [first, 'nobody/nowhere-1'])).toEqual(one);
      expect(await priced(subject, ['nobody/nowhere-1'])).toEqual([]);
      expect(await priced(subject, [])).toEqual([]);
    });

    test('asking changes nothing', async () => {
      const subject = await fresh();
      expect(await priced(subject, subject.regions)).toEqual(await priced(subject, subject.regions));
    });

    if (can.includes('lists'))
      test('what has a price is listed once, with its id and its shape', async () => {
        const subject = await fresh();
        const { feed, regions } = subject;
        const { offerings, unreadable } = await feed.listOfferings(regions);
        expect(unreadable).toEqual([]);
        const keys = offerings.map((offering) => offeringKeyText(offering)).sort();
        expect(new Set(keys).size).toBe(keys.length);
        expect(keys).toEqual(expect.arrayContaining(await priced(subject, regions)));
        for (const offering of offerings) {
          expect(offering.id).toBe(offeringIdOf(offering));
          expect(regions).toContain(regionOf(offering));
          expect(Number.isInteger(offering.cpuMilli) && offering.cpuMilli > 0).toBe(true);
          expect(offering.memoryMib === null || (Number.isInteger(offering.memoryMib) && offering.memoryMib > 0)).toBe(true);
        }
        expect((await feed.listOfferings(['nobody/nowhere-1'])).offerings).toEqual([]);
      });

    if (can.includes('damage'))
      test('a row that cannot be read is told, and the others stand', async () => {
        const subject = await fresh();
        const before = await priced(subject, subject.regions);
        await subject.damage?.();
        const { prices, unreadable } = await subject.feed.observePrices(subject.regions);
        expect(unreadable).toHaveLength(1);
        expect(unreadable[0]?.reason).not.toBe('');
        expect(prices.map(({ key }) => offeringKeyText(key)).sort()).toEqual(before);
      });

    if (can.includes('breakPages'))
      test.each(PAGE_FAULTS)('a page that %s is no answer', async (how) => {
        const subject = await fresh();
        await subject.breakPages?.(how);
        await expect(subject.feed.observePrices(subject.regions)).rejects.toThrow(CloudUnknown);
      });

    if (can.includes('trouble'))
      test.each(TROUBLES)('a source that is %s is unknown', async (how) => {
        const subject = await fresh();
        await subject.trouble?.(how);
        await expect(subject.feed.observePrices(subject.regions)).rejects.toThrow(CloudUnknown);
        if (can.includes('lists')) await expect(subject.feed.listOfferings(subject.regions)).rejects.toThrow(CloudUnknown);
      });
  });
}
