// What a person decides about prices that wait, what tables say that are read again, and feeds that are taken out of the configuration: through
// the real loop and service over a real database; what counts is what the price book believes afterwards, now and later.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { offeringIdOf, offeringKeyText } from '../../src/clouds/offering-key.ts';
import type { ObservedPrice } from '../../src/clouds/price-feed.port.ts';
import { DAY_MS } from '../../src/kernel/instant.ts';
import { formatUsd, parseUsd } from '../../src/kernel/money.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { priceCsvFeed } from '../../src/pricing/csv-price-feed.adapter.ts';
import { PriceFeedsService, type QuarantineDecision } from '../../src/pricing/price-feeds.service.ts';
import { planPlacement } from '../../src/scheduler/plan-placement.ts';
import { principalOf } from '../support/actors.ts';
import { eventually } from '../support/eventually.ts';
import {
  FEED_INTERVAL_MS,
  openPriceWorld,
  SCOPE,
  STALE_AFTER_MS,
  toObserved,
  ToldFeed,
  type PriceWorld,
} from '../support/price-feed-world.ts';

const START = Date.parse('2026-11-21T00:00:00Z');
const REGION = 'aws/us-east-1';
const KEY = { provider: 'aws', region: 'us-east-1', zone: '', instanceType: 'm5.large', capacityType: 'on_demand' } as const;
const ID = offeringIdOf(KEY);

let world: PriceWorld;

const priceOf = (id = ID, at = world.world.now) =>
  world.db.database.read(SCOPE, async (tx) => (await world.service.believedAt(tx, [id], at)).get(id) ?? null);
const effective = async (at = world.world.now) => formatUsd((await priceOf(ID, at))?.effective ?? 0n);

const open = () =>
  world.db.database.read(SCOPE, (tx) => world.store.quarantined(tx, { states: ['open'], first: 100, after: null }));

const events = async (type: string): Promise<string[]> =>
  (
    await world.db.database.read(SCOPE, (tx) =>
      sqlOf(tx).query<{ message: string }>(`select message from outbox where type = $1 order by seq`, [type]),
    )
  ).map(({ message }) => message);

const nextPass = async (after = FEED_INTERVAL_MS): Promise<void> => {
  world.world.now += after;
  await world.pass();
};

describe('Price gate: what a person decides', () => {
  const told = new ToldFeed('told');
  let service: PriceFeedsService;
  const says = (amount: string, effectiveFrom: number | null = null): void => {
    const rows = world.book.map(toObserved);
    told.says(rows.map((row): ObservedPrice => (offeringIdOf(row.key) === ID ? { ...row, amount, effectiveFrom } : row)));
  };
  const decide = async (decision: QuarantineDecision) => {
    const [row] = await open();
    const caller = { principal: principalOf('platform_admin', null), idempotencyKey: null };
    return service.decide(caller, { id: row?.id ?? '', decision });
  };
  beforeEach(async () => {
    world = await openPriceWorld(START, [told], [REGION]);
    service = new PriceFeedsService(world);
    says('0.096');
    await world.pass();
    return () => world.db.close();
  });

  test('a price that is accepted counts from its date, and until then what is in force does', async () => {
    says('0.9', START + 3 * DAY_MS);
    await nextPass();
    expect(await open()).toMatchObject([{ code: 'FAR_FROM_LAST' }]);
    expect(await decide('accept')).toMatchObject({ ok: true });
    expect([await effective(), await effective(START + 3 * DAY_MS - 1), await effective(START + 3 * DAY_MS)]).toEqual([
      ...['0.096', '0.096', '0.9'],
    ]);
    expect(await events('price.changed')).toEqual([
      `${offeringKeyText(KEY)} will cost 0.9 USD per hour from 2026-11-24T00:00:00.000Z on; it is 0.096 USD per hour.`,
    ]);
    // It is settled: said again it is not judged again; brought forward it is.
    await nextPass();
    expect(await open()).toEqual([]);
    says('0.9', START + 2 * DAY_MS);
    await nextPass();
    expect(await open()).toMatchObject([{ code: 'FAR_FROM_LAST' }]);
  });

  test('a price that was announced is over once another one is accepted', async () => {
    says('0.12', START + 2 * DAY_MS);
    await nextPass();
    expect([await effective(), await effective(START + 2 * DAY_MS)]).toEqual(['0.096', '0.12']);
    says('0.9');
    await nextPass();
    await decide('accept');
    expect([await effective(), await effective(START + 2 * DAY_MS)]).toEqual(['0.9', '0.9']);
  });

  test('an announcement is brought forward, put off, and taken back', async () => {
    const outlook = async () => [
      await effective(START + 1 * DAY_MS),
      await effective(START + 2 * DAY_MS),
      await effective(START + 9 * DAY_MS),
    ];
    says('0.12', START + 2 * DAY_MS);
    await nextPass();
    expect(await outlook()).toEqual(['0.096', '0.12', '0.12']);
    says('0.12', START + 1 * DAY_MS);
    await nextPass();
    expect(await outlook()).toEqual(['0.12', '0.12', '0.12']);
    says('0.12', START + 4 * DAY_MS);
    await nextPass();
    expect(await outlook()).toEqual(['0.096', '0.096', '0.12']);
    says('0.096');
    await nextPass();
    expect(await outlook()).toEqual(['0.096', '0.096', '0.096']);
    expect(await open()).toEqual([]);
  });

  test('who decides while a feed is read comes after it: what the feed says no more cannot be accepted', async () => {
    says('0.9');
    await nextPass();
    const { prices, store, db } = world;
    const read = Promise.withResolvers<true>();
    const reading = db.database.write(SCOPE, async (tx) => {
      await prices.lockBook(tx);
      await read.promise;
      const unchanged = { claims: [], unconfirmed: [], confirmed: [], prices: [], quarantined: [] };
      await store.saveReading(tx, { feed: 'told', at: world.world.now, ...unchanged, withdrawn: [offeringKeyText(KEY)] });
    });
    const decided = decide('accept');
    const waiting = `select 1 from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database
      where datname = current_database())`;
    await eventually(async () => (await db.database.read(SCOPE, (tx) => sqlOf(tx).query(waiting))).length > 0).finally(() => {
      read.resolve(true);
    });
    await reading;
    expect(await decided).toMatchObject({ ok: false, error: { code: 'PRECONDITION_FAILED' } });
    expect(await effective()).toBe('0.096');
  });
});

describe('Price gate: a table that is read again has said nothing more', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'purser-editions-'));
    const path = join(folder, 'ours.csv');
    await write(path, '0.096');
    world = await openPriceWorld(START, [priceCsvFeed('ours', { path })], [REGION]);
    await world.pass();
  });
  afterAll(async () => {
    await world.db.close();
    await rm(folder, { recursive: true, force: true });
  });
  const write = (path: string, amount: string, other = '0.192') =>
    writeFile(
      path,
      `provider,region,instance_type,cpu_milli,memory_mib,on_demand_usd_per_hour
aws,us-east-1,m5.large,2000,8192,${amount}
aws,us-east-1,m5.xlarge,4000,16384,${other}
rack,cellar,big,64000,262144,1.25
`,
    );

  test('a jump waits for as long as the file stays as it is; an edition that still says so confirms it', async () => {
    const path = join(folder, 'ours.csv');
    await write(path, '0.16');
    for (let reads = 0; reads < 5; reads += 1) await nextPass();
    expect(await effective()).toBe('0.096');
    expect(await open()).toMatchObject([
      { code: 'UNCONFIRMED_JUMP', message: expect.stringContaining('a later edition') as string },
    ]);
    // Copied, it is the same edition; with other words elsewhere it is another one.
    await write(path, '0.16');
    await nextPass();
    expect(await effective()).toBe('0.096');
    await write(path, '0.16', '0.193');
    await nextPass();
    expect(await effective()).toBe('0.16');
    expect(await open()).toEqual([]);
  });
});

describe('Price gate: a feed that is taken out of the configuration', () => {
  const kept = new ToldFeed('kept');
  const taken = new ToldFeed('taken');
  const other = offeringIdOf({ ...KEY, instanceType: 'm5.xlarge' });
  const codes = () =>
    world.db.database.read(SCOPE, async (tx) => {
      const candidates = (await world.service.candidates(tx, { regions: [REGION] })).filter(({ offering }) => offering.id === ID);
      const demand = { resources: { cpuMilli: 1, memoryMib: 1, accelerator: null }, capacityTypes: ['on_demand'] as const };
      return Object.keys(planPlacement({ demand, policy: { regions: [REGION] }, candidates }, world.world.now).rejectedCounts);
    });
  beforeAll(async () => {
    world = await openPriceWorld(START, [taken], [REGION]);
    const rows = world.book.map(toObserved);
    taken.says(rows.map((row) => (offeringIdOf(row.key) === ID ? { ...row, amount: '0.11' } : row)));
    kept.says(rows.filter(({ key }) => ![ID, other].includes(offeringIdOf(key))));
    await world.pass();
  });
  afterAll(() => world.db.close());

  test('what it said goes stale as if it were silent, and somebody is told; what it only repeated is as if it had never spoken', async () => {
    expect((await priceOf())?.effective).toBe(parseUsd('0.11'));
    world.restartWith([kept]);
    for (let at = 0; at + FEED_INTERVAL_MS < STALE_AFTER_MS; at += FEED_INTERVAL_MS) await nextPass();
    expect((await priceOf())?.stale).toBeUndefined();
    expect(await codes()).toEqual([]);
    await nextPass();
    await nextPass();
    expect((await priceOf())?.stale).toBe(true);
    expect(await codes()).toEqual(['PRICE_STALE']);
    expect((await priceOf(other))?.stale).toBeUndefined();
    expect(await events('price_feed.stale')).toHaveLength(1);
    const feeds = await world.db.database.read(SCOPE, (tx) => world.store.feeds(tx));
    expect(feeds.map(({ name, isConfigured, staleSince }) => [name, isConfigured, staleSince !== null])).toEqual([
      ['kept', true, false],
      ['taken', false, true],
    ]);
  });

  test('it is heard again once it is configured again', async () => {
    world.restartWith([kept, taken]);
    await nextPass();
    expect((await priceOf())?.stale).toBeUndefined();
    await nextPass();
    expect(await events('price_feed.heard')).toHaveLength(1);
  });
});

describe('Price gate: a region that a feed is not asked about any more', () => {
  const told = new ToldFeed('told');
  const others = 'gcp/us-central1';
  const here = (row: ObservedPrice): boolean => row.key.provider === 'aws';
  beforeAll(async () => {
    world = await openPriceWorld(START, [told], [REGION, others]);
    const rows = world.book.map(toObserved);
    told.says(rows.map((row) => (offeringIdOf(row.key) === ID ? { ...row, amount: '0.11' } : row)));
    await world.pass();
    told.says(rows.filter((row) => !here(row)));
    world.restartWith([told], [others]);
  });
  afterAll(() => world.db.close());

  test('its readings are believed all the same; what it said there goes stale, what it only repeated does not', async () => {
    for (let at = 0; at <= STALE_AFTER_MS + FEED_INTERVAL_MS; at += FEED_INTERVAL_MS) await nextPass();
    const [feed] = await world.db.database.read(SCOPE, (tx) => world.store.feeds(tx));
    expect(feed).toMatchObject({ errorCode: null, staleSince: null, readAt: world.world.now });
    expect(await priceOf()).toMatchObject({ effective: parseUsd('0.11'), stale: true });
    expect((await priceOf(offeringIdOf({ ...KEY, instanceType: 'm5.xlarge' })))?.stale).toBeUndefined();
  });

  test('asked again, it is heard again', async () => {
    told.says(world.book.map(toObserved).map((row) => (offeringIdOf(row.key) === ID ? { ...row, amount: '0.11' } : row)));
    world.restartWith([told]);
    await nextPass();
    expect((await priceOf())?.stale).toBeUndefined();
  });
});
