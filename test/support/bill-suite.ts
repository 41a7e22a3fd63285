// One suite for every source of bills: a factory opens one with a bill that is known, and only the port is used.
import { afterEach, describe, expect, test } from 'vitest';
import type { Bill, BillSource } from '../../src/clouds/bill.port.ts';
import { CloudUnknown } from '../../src/clouds/cloud-provider.port.ts';
import type { Instant } from '../../src/kernel/instant.ts';
import type { PicoUsd } from '../../src/kernel/money.ts';
import { TROUBLES, type CloudTrouble } from './cloud-provider-suite.ts';

/** A bill with charges of `[from, cut)` and of `[cut, to)`; all three are borders of its charge periods. */
export interface BillSubject {
  readonly source: BillSource;
  readonly from: Instant;
  readonly cut: Instant;
  readonly to: Instant;
  /** Of all billed costs of `[from, to)`. */
  readonly total: PicoUsd;
  close?(): void | Promise<void>;
  /** From now on one more charge cannot be read. */
  damage?(): void | Promise<void>;
  /** From now on every call fares so. */
  trouble?(how: CloudTrouble): void | Promise<void>;
}

export type BillAbility = 'damage' | 'trouble';

const sumOf = ({ lines }: Bill): PicoUsd => lines.reduce((sum, { billedCost }) => sum + billedCost, 0n);

export function billSuite(name: string, can: readonly BillAbility[], open: () => BillSubject | Promise<BillSubject>): void {
  describe(`Cloud port: bills of ${name}`, () => {
    const opened: BillSubject[] = [];
    afterEach(async () => {
      for (const subject of opened.splice(0)) await subject.close?.();
    });
    const fresh = async (): Promise<BillSubject> => {
      const subject = await open();
      opened.push(subject);
      return subject;
    };

    test('the lines of a period sum to its bill to the pico-dollar, and lie in it', async () => {
      const { source, from, to, total } = await fresh();
      const bill = await source.fetchBill(from, to);
      expect(bill.lines.length).toBeGreaterThan(1);
      expect(bill.unreadable).toEqual([]);
      expect(sumOf(bill)).toBe(total);
      for (const { chargePeriodStart, chargePeriodEnd } of bill.lines) {
        expect(chargePeriodStart).toBeGreaterThanOrEqual(from);
        expect(chargePeriodStart).toBeLessThan(to);
        expect(chargePeriodEnd).toBeGreaterThan(chargePeriodStart);
      }
    });

    test('periods that adjoin have every charge once; asking again gives the same', async () => {
      const { source, from, cut, to, total } = await fresh();
      const halves = [await source.fetchBill(from, cut), await source.fetchBill(cut, to)];
      for (const half of halves) expect(half.lines.length).toBeGreaterThan(0);
      expect(halves.reduce((sum, half) => sum + sumOf(half), 0n)).toBe(total);
      expect(await source.fetchBill(from, cut)).toEqual(halves[0]);
    });

    test('a period without length has no charges', async () => {
      const { source, from } = await fresh();
      expect((await source.fetchBill(from, from)).lines).toEqual([]);
    });

    if (can.includes('damage'))
      test('a charge that cannot be read is told, and never counted', async () => {
        const subject = await fresh();
        await subject.damage?.();
        const bill = await subject.source.fetchBill(subject.from, subject.to);
        expect(bill.unreadable).toHaveLength(1);
        expect(sumOf(bill)).toBe(subject.total);
      });

    if (can.includes('trouble'))
      test.each(TROUBLES)('a provider that is %s leaves the bill unknown', async (how) => {
        const subject = await fresh();
        await subject.trouble?.(how);
        await expect(subject.source.fetchBill(subject.from, subject.to)).rejects.toThrow(CloudUnknown);
      });
  });
}
