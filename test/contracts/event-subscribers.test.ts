// Subscribers of a real log on a real database: slow ones, filtered ones, ones that nothing concerns.
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { matches } from '../../src/events/event.ts';
import { EventLog, record, type Delivery, type FollowRequest } from '../../src/events/event-log.ts';
import type { EventDraft, Severity } from '../../src/kernel/event.ts';
import type { Scope } from '../../src/kernel/transaction.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { draft, TEAMS, uuid } from '../support/event-drafts.ts';
import { eventually } from '../support/eventually.ts';
import { quietLogger } from '../support/quiet-logger.ts';

const PLATFORM: Scope = { kind: 'platform' };

let db: TestDatabase;
let log: EventLog;
let stopping: AbortController;

beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());
beforeEach(async () => {
  stopping = new AbortController();
  log = new EventLog({ database: db.database, clock: { now: () => 1_000 }, logger: quietLogger });
  await log.start();
});
afterEach(async () => {
  stopping.abort();
  await log.stop();
});

const write = (...drafts: EventDraft[]) =>
  db.database.write({ kind: 'reconciler', loop: 'test' }, (tx) => {
    record(tx, ...drafts);
    return Promise.resolve();
  });

/** Follows in the background and keeps what was delivered. */
function follow(request: Partial<FollowRequest>): { readonly deliveries: Delivery[] } {
  const deliveries: Delivery[] = [];
  const { signal } = stopping;
  void (async () => {
    for await (const delivery of log.follow(PLATFORM, { after: null, filter: {}, ...request, signal })) deliveries.push(delivery);
  })();
  return { deliveries };
}

describe('Event log: subscribers', () => {
  it('a log that is stopped while its first subscriber connects leaves no connection behind', async () => {
    const iterator = log.follow(PLATFORM, { after: null, filter: {}, signal: stopping.signal });
    await iterator.next();
    const connecting = iterator.next();
    await log.stop();
    stopping.abort();
    await connecting;
    const open = `select count(*)::int as n from pg_stat_activity where datname = current_database() and application_name = 'purser events'`;
    await eventually(async () => {
      const [row] = await db.database.read(PLATFORM, (tx) => sqlOf(tx).query<{ n: number }>(open));
      return row?.n === 0;
    });
  });

  it('a filter that matches nothing still hears heartbeats at their pace while the log is busy', async () => {
    const reader = follow({ filter: { types: ['nothing.'] }, heartbeatMs: 20 });
    await eventually(() => reader.deliveries.length > 0);
    for (let n = 1; n <= 30; n += 1) {
      const heard = reader.deliveries.length;
      await write(draft(11, n));
      await eventually(() => reader.deliveries.length > heard);
    }
    expect(new Set(reader.deliveries.map(({ kind }) => kind))).toEqual(new Set(['heartbeat']));
    const positions = reader.deliveries.map(({ cursor }) => cursor.position);
    expect(positions).toEqual([...positions].sort((a, b) => a - b));
  });

  it('tells PRUNED to a subscriber that fell behind its buffer while the log moved on, then what is left', async () => {
    await log.sequence();
    await log.prune(-10_000);
    const from = await log.head();
    const iterator = log.follow(PLATFORM, { after: from, filter: {}, signal: stopping.signal, heartbeatMs: 20 });
    await iterator.next();
    await iterator.next();
    for (let n = 0; n < 1_200; n += 100)
      await write(...Array.from({ length: 100 }, (_, index) => draft(12, n + index + 1, { at: 10 })));
    await write(draft(12, 2_000, { at: 5_000 }));
    await log.sequence();
    await log.prune(500);
    const seen: Delivery[] = [];
    for await (const delivery of iterator) {
      seen.push(delivery);
      if (delivery.kind === 'event' && delivery.event.subjectVersion === 2_000) break;
    }
    const gap = seen.findIndex(({ kind }) => kind === 'gap');
    expect(seen[gap]).toMatchObject({ reason: 'PRUNED', cursor: { position: from.position + 1_200 } });
    expect(seen.slice(gap + 1).map(({ kind }) => kind)).toEqual(['event']);
    // What came before the gap is the beginning, without a hole.
    const before = seen.slice(0, gap).flatMap((delivery) => (delivery.kind === 'event' ? [delivery.event.subjectVersion] : []));
    expect(before).toEqual(before.map((_, index) => index + 1));
  });
});

describe('Event log: a filter says the same of what was and of what comes', () => {
  const some = <T>(...values: T[]) => fc.constantFrom<T>(...values);
  const eventOf = fc.record({
    type: some('rollout.started', 'rollout.step', 'rolloutx.started', 'deployment.created', 'rollout'),
    severity: some<Severity>('info', 'warning', 'error'),
    subjectKind: some('Deployment', 'Rollout'),
    subjectId: some(uuid(21), uuid(22)),
    deploymentId: some(uuid(21), uuid(22), null),
    projectId: some(uuid(31), uuid(32), null),
    teamId: some(TEAMS[0], TEAMS[1], null),
  });
  const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
  const filterOf = fc.record({
    types: optional(fc.subarray(['rollout.', 'rollout', 'rollout.step', 'deployment.created', '.', 'roll_ut.', '%.'])),
    severities: optional(fc.subarray(['info', 'warning', 'error'] as const)),
    subjectKind: optional(some('Deployment', 'Rollout')),
    subjectId: optional(some(uuid(21), uuid(22))),
    deploymentId: optional(some(uuid(21), uuid(22))),
    projectId: optional(some(uuid(31), uuid(32))),
    teamIds: optional(fc.subarray([...TEAMS])),
  });

  it('replayed from the table, filtered by the tail', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(eventOf, { minLength: 1, maxLength: 20 }), filterOf, async (events, filter) => {
        const from = await log.head();
        await write(...events.map((event, index) => draft(20, index + 1, event)));
        await log.sequence();
        const replayed = await log.read(PLATFORM, { after: from, filter, limit: 100 });
        const all = await log.read(PLATFORM, { after: from, filter: {}, limit: 100 });
        expect(all.events).toHaveLength(events.length);
        expect(all.events.filter((event) => matches(event, filter))).toEqual(replayed.events);
      }),
      { numRuns: 60 },
    );
  });
});
