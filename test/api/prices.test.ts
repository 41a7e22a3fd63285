// The command line against the real API over the bundled price book, with a feed's doubts put into the database as its loop writes them.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../clients/cli/exit-codes.ts';
import { offeringIdOf } from '../../src/clouds/offering-key.ts';
import { newId } from '../../src/kernel/id.ts';
import { parseUsd } from '../../src/kernel/money.ts';
import { makePricing } from '../../src/main/make-pricing.ts';
import { Commands } from '../../src/persistence/commands.ts';
import type { AgreementsService } from '../../src/pricing/agreements.service.ts';
import { PriceFeedRepository } from '../../src/pricing/price-feed.repository.ts';
import { PriceRepository } from '../../src/pricing/price.repository.ts';
import { principalOf, seededRandom } from '../support/actors.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { openCli, type TestCli } from '../support/cli.ts';
import { loadPriceBook } from '../support/price-book.ts';

const KEY = { provider: 'aws', region: 'us-east-1', zone: '', instanceType: 'm5.large', capacityType: 'on_demand' } as const;
const OFFERING = 'aws/us-east-1/-/m5.large/on_demand';
const SYSTEM = { kind: 'reconciler', loop: 'test' } as const;
const store = new PriceFeedRepository();

let api: TestApi;
let paidCapacity: AgreementsService;
let admin: TestCli;
let viewer: TestCli;

beforeAll(async () => {
  api = await startApi();
  const clock = { now: () => Date.now() };
  const shared = {
    database: api.db.database,
    clock,
    random: seededRandom(1),
    commands: new Commands({ database: api.db.database, clock }),
  };
  await loadPriceBook(shared);
  paidCapacity = makePricing({ ...shared, priceStore: new PriceRepository() }).agreements;
  admin = openCli({ PURSER_URL: api.url, PURSER_TOKEN: api.adminToken });
  viewer = openCli({ PURSER_URL: api.url, PURSER_TOKEN: (await api.tokenFor('viewer', 'crew')).token });
});
afterAll(async () => {
  admin.close();
  viewer.close();
  await api.close();
});

interface Shown {
  readonly price: { readonly perHour: { readonly amount: string }; readonly listPerHour: { readonly amount: string } };
}

const priceOf = async (cli: TestCli, ...more: string[]): Promise<[string, string] | undefined> => {
  const args = ['prices', 'list', '--region', 'aws/us-east-1', '--type', 'm5.large', ...more];
  const [shown] = await cli.json<Shown[]>(...args);
  return shown && [shown.price.perHour.amount, shown.price.listPerHour.amount];
};
const onDemand = (cli: TestCli = admin) => priceOf(cli, '--capacity', 'on_demand');

/** A feed that says so of m5.large, which the gate did not believe. */
async function doubt(amount: string, code: 'FAR_FROM_LAST' | 'AMOUNT_UNREADABLE'): Promise<void> {
  const at = Date.now();
  const makeId = () => newId(at, seededRandom(at));
  await api.db.database.write(SYSTEM, async (tx) => {
    await store.configure(tx, [{ id: makeId(), name: 'told', intervalMs: 60_000, staleAfterMs: 86_400_000 }], at);
    const row = { amount, currency: 'USD', unit: 'hour', effectiveFrom: null };
    const offeringId = offeringIdOf(KEY);
    await store.saveReading(tx, {
      ...{ feed: 'told', at, unconfirmed: [], confirmed: [], prices: [], withdrawn: [OFFERING] },
      claims: [{ offeringId, said: `${amount} USD/hour`, amount: null, effectiveFrom: null, code }],
      quarantined: [
        {
          id: makeId(),
          offeringId,
          offeringKey: OFFERING,
          row,
          amount: parseUsd(amount),
          code,
          message: 'So it is.',
        },
      ],
    });
    await store.saveOutcome(tx, {
      name: 'told',
      at,
      error: null,
      read: { asOf: null, edition: null, rowsByRegion: {}, rows: 1 },
      unreadable: [],
    });
  });
}

describe('Prices on the command line: what it costs, and who says so', () => {
  test('offerings with price and source, for everybody who may see prices', async () => {
    expect(await onDemand(viewer)).toEqual(['0.096', '0.096']);
    const { stdout } = await viewer.run(['prices', '--region', 'aws/us-east-1', '--type', 'm5.large']);
    expect(stdout).toContain('karpenter-aws@2026-07-20');
    expect(stdout.split('\n')[1]).toMatch(/^aws\/us-east-1\/-\/m5\.large\/spot /);
  });

  test('a price set by hand wins until it is cleared, and its history tells both', async () => {
    expect((await admin.run(['prices', 'set', OFFERING, '0.05'])).code).toBe(EXIT.OK);
    expect(await onDemand()).toEqual(['0.05', '0.096']);
    expect((await admin.run(['prices', 'set', OFFERING, '--clear'])).code).toBe(EXIT.OK);
    const points = await admin.json<{ readonly price: { readonly source: string } }[]>('prices', 'history', OFFERING);
    expect(points.map(({ price }) => price.source)).toEqual(['karpenter-aws@2026-07-20', 'override', 'karpenter-aws@2026-07-20']);
    expect((await viewer.run(['prices', 'set', OFFERING, '0.05'])).code).toBe(EXIT.NOT_FOUND);
    expect((await admin.run(['prices', 'set', 'm5.large', '1'])).code).toBe(EXIT.USAGE);
  });

  test('a quarantined price is seen with its reason; a person accepts it or dismisses it, and nobody without the right to', async () => {
    await doubt('0.6', 'FAR_FROM_LAST');
    const [waiting] = await viewer.json<
      {
        readonly id: string;
        readonly code: string;
        readonly said: string;
      }[]
    >('prices', 'quarantine');
    expect(waiting).toMatchObject({ code: 'FAR_FROM_LAST', said: '0.6', isAcceptable: true });
    const id = waiting?.id ?? '';
    expect((await viewer.run(['prices', 'quarantine', '--accept', id])).code).toBe(EXIT.NOT_FOUND);
    expect((await admin.run(['prices', 'quarantine', '--accept', id])).stdout).toBe(`${OFFERING}: accepted.\n`);
    expect(await onDemand()).toEqual(['0.6', '0.6']);
    expect((await admin.run(['prices', 'quarantine', '--dismiss', id])).code).toBe(EXIT.REFUSED);
    expect((await admin.run(['prices', 'quarantine'])).stdout).toBe('Every price is believed.\n');
  });

  test('what is no amount can only be dismissed', async () => {
    await doubt('NaN', 'AMOUNT_UNREADABLE');
    const [waiting] = await admin.json<{ readonly id: string }[]>('prices', 'quarantine', '--feed', 'told');
    const id = waiting?.id ?? '';
    const refused = await admin.run(['prices', 'quarantine', '--accept', id]);
    expect([refused.code, refused.stderr]).toEqual([EXIT.REFUSED, expect.stringContaining('PRECONDITION_FAILED')]);
    expect((await admin.run(['prices', 'quarantine', '--dismiss', id])).code).toBe(EXIT.OK);
    expect(await onDemand()).toEqual(['0.6', '0.6']);
    expect(await viewer.json<unknown>('prices', 'feeds')).toMatchObject([
      { name: 'told', rows: 1, error: null, staleSince: null },
    ]);
  });

  test('a feed that is taken out of the configuration is told, and since when it is silent', async () => {
    const at = Date.now();
    const text = async () => (await viewer.run(['prices', 'feeds'])).stdout;
    await api.db.database.write(SYSTEM, (tx) => store.configure(tx, [], at));
    expect(await text()).toMatch(/told .* not configured any more\n/);
    await api.db.database.write(SYSTEM, (tx) => store.saveSilence(tx, 'told', at, at));
    expect(await text()).toMatch(/told .* not configured any more: stale since 20/);
  });
});

describe('Prices on the command line: what was agreed', () => {
  test('a discount lowers what is charged and leaves the list price; ending it ends that', async () => {
    const listed = ['prices', 'list', '--region', 'gcp/us-central1', '--type', 'n1-standard-4', '--capacity', 'on_demand'];
    const shown = async () => (await admin.json<Shown[]>(...listed))[0]?.price;
    expect(
      (await admin.run(['prices', 'discount', 'ours', '--percent', '12.5', '--provider', 'gcp', '--types', 'n1-*'])).code,
    ).toBe(EXIT.OK);
    expect(await shown()).toMatchObject({ perHour: { amount: '0.166249125' }, listPerHour: { amount: '0.189999' } });
    expect(await onDemand()).toEqual(['0.6', '0.6']);
    expect(await viewer.json<unknown>('prices', 'agreements')).toEqual([]);
    expect((await admin.run(['prices', 'end', 'ours'])).stdout).toBe('ours has ended.\n');
    expect(await shown()).toMatchObject({ perHour: { amount: '0.189999' } });
    expect((await admin.run(['prices', 'end', 'ours'])).code).toBe(EXIT.NOT_FOUND);
    expect((await admin.run(['prices', 'discount', 'ours', '--percent', '50', '--types', 'n1-standard-4'])).code).toBe(EXIT.OK);
    expect(await shown()).toMatchObject({ perHour: { amount: '0.0949995' } });
    await admin.run(['prices', 'end', 'ours']);
    expect((await viewer.run(['prices', 'discount', 'theirs', '--percent', '99'])).code).toBe(EXIT.NOT_FOUND);
    expect((await admin.run(['prices', 'discount', 'all', '--percent', '101'])).code).toBe(EXIT.REFUSED);
  });

  test('reserved machines are offered at their rate, with their count; a savings plan covers what it pays for whole', async () => {
    const reserve = ['prices', 'reserve', 'base', '--offering', OFFERING, '--rate', '0.06', '--count', '10'];
    expect((await admin.run(reserve)).code).toBe(EXIT.OK);
    expect(await priceOf(admin, '--capacity', 'reserved')).toEqual(['0.06', '0.6']);
    const plan = [
      'prices',
      'reserve',
      'plan',
      '--offering',
      'aws/us-east-1/-/c5.large/on_demand',
      '--rate',
      '0.07',
      '--committed',
      '0.25',
    ];
    expect((await admin.run(plan)).code).toBe(EXIT.OK);
    expect(await admin.json('prices', 'agreements')).toMatchObject([
      { name: 'base', kind: 'RESERVATION', count: 10, perHour: { amount: '0.06' } },
      { name: 'plan', kind: 'SAVINGS_PLAN', count: 3, perHour: { amount: '0.07' } },
    ]);
    const paid = await api.db.database.read(SYSTEM, (tx) => paidCapacity.paid(tx));
    expect(paid).toContainEqual({ offeringId: offeringIdOf({ ...KEY, capacityType: 'on_demand' }), count: 10 });
    await admin.run(['prices', 'end', 'base']);
    expect(await priceOf(admin, '--capacity', 'reserved')).toEqual(['0.6', '0.6']);
  });

  test('what is agreed anew counts, whatever was written for later; of two agreements the other one still counts when one ends', async () => {
    const offering = { ...KEY, instanceType: 'm5.xlarge' };
    const id = offeringIdOf({ ...offering, capacityType: 'reserved' });
    const at = Date.now() + 3_600_000;
    const priceAt = (when: number) =>
      api.db.database.read(SYSTEM, async (tx) => (await new PriceRepository().byIds(tx, [id], when))[0]?.price?.effective);
    const caller = { principal: principalOf('platform_admin', null), idempotencyKey: null };
    const set = (name: string, rate: string, validUntil: number | null) =>
      paidCapacity.set(caller, {
        ...{ name, validFrom: null, validUntil, expectedVersion: null },
        spec: { kind: 'reservation', covers: offering, count: 2, ratePerHour: parseUsd(rate)! },
      });
    expect(await set('longer', '0.1', at)).toMatchObject({ ok: true });
    expect(await set('longer', '0.1', null)).toMatchObject({ ok: true });
    expect(await priceAt(at + 1)).toBe(parseUsd('0.1'));
    expect(await set('other', '0.09', null)).toMatchObject({ ok: true });
    expect(await paidCapacity.remove(caller, { name: 'longer', expectedVersion: null })).toMatchObject({ ok: true });
    expect(await priceAt(Date.now())).toBe(parseUsd('0.09'));
    expect(await priceAt(at + 1)).toBe(parseUsd('0.09'));
  });

  test('a machine of your own costs what it loses, draws and rents', async () => {
    const own = ['--provider', 'rack', '--region', 'cellar', '--type', 'big', '--cpu', '64000', '--memory', '262144'];
    const paid = [
      '--purchase',
      '18000',
      '--residual',
      '2000',
      '--months',
      '48',
      '--watts',
      '700',
      '--power',
      '0.21',
      '--hosting',
      '90',
    ];
    expect((await admin.run(['prices', 'own', 'rack', ...own, ...paid])).code).toBe(EXIT.OK);
    const [shown] = await admin.json<Shown[]>('prices', 'list', '--region', 'rack/cellar');
    // 16000 / (48 × 730.485) + 0.7 × 0.21 + 90 / 730.485, each rounded up.
    expect(shown?.price.perHour.amount).toBe('0.726523649814');
  });
});
