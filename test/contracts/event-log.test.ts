// Runs the real log on a real database: many writers with random delays, several sequencers, readers that stop and go on.
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { decodeCursor, encodeCursor, resume, type Cursor } from '../../src/events/cursor.ts';
import { isVisible, type LogEvent } from '../../src/events/event.ts';
import { EventLog, record, type Delivery, type FollowRequest } from '../../src/events/event-log.ts';
import type { EventDraft } from '../../src/kernel/event.ts';
import type { Scope, Transaction } from '../../src/kernel/transaction.ts';
import { makeClient } from '../../src/persistence/connection.ts';
import { Database } from '../../src/persistence/database.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { draft, TEAMS, uuid } from '../support/event-drafts.ts';
import { eventually } from '../support/eventually.ts';
import { quietLogger } from '../support/quiet-logger.ts';

const PLATFORM: Scope = { kind: 'platform' };
const LOOP: Scope = { kind: 'reconciler', loop: 'test' };

let db: TestDatabase;
let log: EventLog;
let stopping: AbortController;
const logs: EventLog[] = [];

beforeAll(async () => {
  db = await openTestDatabase({ maxConnections: 40 });
});
afterAll(() => db.close());
beforeEach(async () => {
  stopping = new AbortController();
  log = await startLog();
});
afterEach(async () => {
  stopping.abort();
  await Promise.all(logs.splice(0).map((one) => one.stop()));
});

async function startLog(): Promise<EventLog> {
  const made = new EventLog({ database: db.database, clock: { now: () => 1_000 }, logger: quietLogger });
  await made.start();
  logs.push(made);
  return made;
}

const recording =
  (...drafts: EventDraft[]) =>
  (tx: Transaction): Promise<void> => {
    record(tx, ...drafts);
    return Promise.resolve();
  };

const write = (...drafts: EventDraft[]) => db.database.write(LOOP, recording(...drafts));

/** Follows in the background and keeps what was delivered. */
function follow(
  from: EventLog,
  scope: Scope,
  request: Partial<FollowRequest> = {},
): { deliveries: Delivery[]; events: () => LogEvent[]; stop: () => void } {
  const own = new AbortController();
  const signal = AbortSignal.any([own.signal, stopping.signal]);
  const deliveries: Delivery[] = [];
  void (async () => {
    for await (const delivery of from.follow(scope, { after: null, filter: {}, ...request, signal })) deliveries.push(delivery);
  })();
  const events = () => deliveries.flatMap((delivery) => (delivery.kind === 'event' ? [delivery.event] : []));
  return { deliveries, events, stop: () => own.abort() };
}

describe('Event log: 32 writers with random commit delays against the cursor', () => {
  it(
    'skips none, repeats none, keeps each subject’s order, live and resumed, with four sequencers',
    { timeout: 120_000 },
    async () => {
      const others = await Promise.all([startLog(), startLog(), startLog()]);
      const before = await log.head();
      const live = follow(log, PLATFORM, { after: before });
      const resuming = resumingReader(before);
      const written = await Promise.all(Array.from({ length: 32 }, (_, writer) => manyWrites(writer)));
      const expected = written.reduce((all, one) => all + one, 0);
      await Promise.all([log, ...others].map((one) => one.sequence()));
      await eventually(() => live.events().length >= expected, 20_000);
      await eventually(() => resuming.events.length >= expected, 20_000);
      for (const seen of [live.events(), resuming.events]) {
        expect(seen.map((event) => event.position)).toEqual(
          Array.from({ length: expected }, (_, index) => before.position + 1 + index),
        );
        expectSubjectOrder(seen);
      }
      await resuming.stop();
    },
  );

  async function manyWrites(writer: number): Promise<number> {
    let count = 0;
    for (let n = 0; n < 12; n += 1) {
      const recorded = await writeSlowly(writer, n);
      count += recorded;
    }
    return count;
  }

  /**
   * One business transaction on one of eight shared subjects: takes its id early, writes late, sometimes rolls back. Its random pauses are
   * the load that is tested, commits in another order than ids; nothing waits by them.
   */
  async function writeSlowly(writer: number, n: number): Promise<number> {
    const subject = (writer + n) % 8;
    const rollBack = Math.random() < 0.15;
    try {
      await db.database.write(LOOP, async (tx) => {
        const sql = sqlOf(tx);
        if (Math.random() < 0.5) await sql.query('select pg_current_xact_id()');
        // The load itself: transactions of any length overlap in any order; nothing is waited for.
        await sleep(Math.random() * 8);
        await sql.execute(`insert into lease (name, holder, epoch, expires_at) values ($1, 'x', 0, 0) on conflict do nothing`, [
          `subject-${subject}`,
        ]);
        const [row] = await sql.query<{ epoch: number }>(`update lease set epoch = epoch + 1 where name = $1 returning epoch`, [
          `subject-${subject}`,
        ]);
        record(tx, draft(100 + subject, (row?.epoch ?? 0) * 2), draft(100 + subject, (row?.epoch ?? 0) * 2 + 1));
        await sleep(Math.random() * 4);
        if (rollBack) throw new Error('rolled back');
      });
      return 2;
    } catch (error) {
      if (error instanceof Error && error.message === 'rolled back') return 0;
      throw error;
    }
  }

  function expectSubjectOrder(events: readonly LogEvent[]): void {
    const last = new Map<string, number>();
    for (const event of events) {
      expect(event.subjectVersion).toBeGreaterThan(last.get(event.subjectId) ?? 0);
      last.set(event.subjectId, event.subjectVersion);
    }
  }

  /** Drops its subscription after every few deliveries and goes on from the last cursor. */
  function resumingReader(from: Cursor): { events: LogEvent[]; stop: () => Promise<void> } {
    const own = new AbortController();
    const events: LogEvent[] = [];
    const run = (async () => {
      let cursor = from;
      while (!own.signal.aborted) {
        let left = 1 + Math.floor(Math.random() * 20);
        for await (const delivery of log.follow(PLATFORM, { after: cursor, filter: {}, signal: own.signal, heartbeatMs: 50 })) {
          cursor = delivery.cursor;
          if (delivery.kind === 'event') events.push(delivery.event);
          left -= 1;
          if (left === 0) break;
        }
      }
    })();
    return {
      events,
      stop: async () => {
        own.abort();
        await run;
      },
    };
  }
});

/** Ends every connection that waits for notifications. */
async function cutListeners(): Promise<void> {
  const admin = makeClient(db.superUrl, 'test');
  await admin.connect();
  await admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'purser events' and datname = current_database()`,
  );
  await admin.end();
}

describe('Event log: delivery', () => {
  it('starts with a heartbeat at the given cursor, replays, then goes live', async () => {
    const start = await log.head();
    await write(draft(1, 1));
    await log.sequence();
    const reader = follow(log, PLATFORM, { after: start });
    await eventually(() => reader.events().length === 1);
    await write(draft(1, 2));
    await eventually(() => reader.events().length === 2);
    expect(reader.deliveries[0]).toEqual({ kind: 'heartbeat', cursor: start });
    expect(reader.events()[1]).toMatchObject({ subjectVersion: 2, before: { version: 1 }, after: { version: 2 } });
  });

  it('a quiet filtered subscriber’s heartbeat carries how far was scanned, so that it can resume after the rest was pruned', async () => {
    const reader = follow(log, PLATFORM, { filter: { types: ['nothing.'] }, heartbeatMs: 20 });
    await eventually(() => reader.deliveries.length > 0);
    await write(draft(2, 1), draft(2, 2));
    await log.sequence();
    const head = await log.head();
    await eventually(() => reader.deliveries.at(-1)?.cursor.position === head.position);
    reader.stop();
    await log.prune(-10_000);
    const page = await log.read(PLATFORM, { after: head, filter: {}, limit: 10 });
    expect(page).toMatchObject({ gap: null, events: [] });
  });

  it('falls back to the table when its buffer is full', async () => {
    const seen: number[] = [];
    const from = await log.head();
    const iterator = log.follow(PLATFORM, { after: from, filter: {}, signal: stopping.signal, heartbeatMs: 20 });
    await iterator.next();
    await iterator.next();
    const total = 2_600;
    for (let n = 0; n < total; n += 100) await write(...Array.from({ length: 100 }, (_, index) => draft(3, n + index + 1)));
    await log.sequence();
    for await (const delivery of iterator) {
      if (delivery.kind === 'event') seen.push(delivery.event.subjectVersion);
      if (seen.length === total) break;
    }
    expect(seen).toEqual(Array.from({ length: total }, (_, index) => index + 1));
  });

  it('goes on by polling when its listening connection is cut', async () => {
    const reader = follow(log, PLATFORM, {});
    await eventually(() => reader.deliveries.length > 0);
    await write(draft(4, 1));
    await eventually(() => reader.events().length === 1);
    await cutListeners();
    await write(draft(4, 2));
    await eventually(() => reader.events().length === 2);
  });

  it('tells who only wants to hear of it that events were numbered, by this instance or another, and again after a cut', async () => {
    const other = await startLog();
    let heard = 0;
    const end = other.onNumbered(() => (heard += 1));
    await eventually(() => heard === 1);
    await write(draft(6, 1));
    await eventually(() => heard > 1);
    await cutListeners();
    const before = heard;
    await eventually(() => heard > before);
    await write(draft(6, 2));
    await eventually(() => heard > before + 1);
    end();
  });

  it('numbers events of an instance that died between its commit and its signal', async () => {
    const other = await Database.connect({ url: db.appUrl });
    const from = await log.head();
    await other.write(LOOP, recording(draft(5, 1)));
    await other.close();
    await eventually(async () => (await log.head()).position === from.position + 1);
  });

  it('writes nothing while nothing happens', async () => {
    await log.sequence();
    const wal = () =>
      db.database.read(
        PLATFORM,
        async (tx) => (await sqlOf(tx).query<{ xid: string }>(`select xmin::text || ctid::text as xid from event_head`))[0]?.xid,
      );
    const before = await wal();
    await log.sequence();
    expect(await wal()).toBe(before);
  });
});

describe('Event log: gaps are typed, never silent', () => {
  it('tells PRUNED when what follows the cursor is gone, and goes on with what is left', async () => {
    await log.sequence();
    await log.prune(-10_000);
    const start = await log.head();
    await write(draft(6, 1, { at: 10 }), draft(6, 2, { at: 5_000 }));
    await log.sequence();
    await log.prune(500);
    const page = await log.read(PLATFORM, { after: start, filter: {}, limit: 10 });
    expect(page.gap).toBe('PRUNED');
    expect(page.events.map((event) => event.subjectVersion)).toEqual([2]);
    const reader = follow(log, PLATFORM, { after: start });
    await eventually(() => reader.events().length === 1);
    expect(reader.deliveries.map(({ kind }) => kind)).toEqual(['heartbeat', 'gap', 'event']);
  });

  it('tells RESTORED above the fork of a new epoch, and nothing below it', async () => {
    await write(draft(7, 1), draft(7, 2));
    await log.sequence();
    const fork = await log.head();
    const undone = { epoch: fork.epoch, position: fork.position + 3 };
    const admin = makeClient(db.superUrl, 'test');
    await admin.connect();
    await admin.query(`update event_epoch set system_identifier = 'another server'`);
    await admin.end();
    const restored = await startLog();
    await write(draft(7, 3), draft(7, 4));
    await restored.sequence();
    expect(await restored.read(PLATFORM, { after: undone, filter: {}, limit: 10 })).toMatchObject({
      gap: 'RESTORED',
      from: { position: fork.position },
    });
    const fine = await restored.read(PLATFORM, { after: fork, filter: {}, limit: 10 });
    expect(fine.gap).toBeNull();
    expect(fine.events.map((event) => event.subjectVersion)).toEqual([3, 4]);
    expect(fine.cursor.epoch).toBe(fork.epoch + 1);
  });

  it('a cursor resumes at or before where it was, without a gap exactly if all that it speaks of is there', () => {
    const state = fc.record({
      epoch: fc.integer({ min: 1, max: 4 }),
      pruned: fc.nat(50),
      length: fc.nat(50),
      forks: fc.array(fc.nat(100), { minLength: 4, maxLength: 4 }),
    });
    fc.assert(
      fc.property(
        state,
        fc.record({ epoch: fc.integer({ min: 1, max: 5 }), position: fc.nat(150) }),
        ({ epoch, pruned, length, forks }, cursor) => {
          const position = pruned + length;
          const starts = forks
            .slice(0, epoch)
            .map((fork, index) => ({ epoch: index + 1, forkPosition: index === 0 ? 0 : Math.min(fork, position) }));
          const { from, gap } = resume(cursor, { epoch, position, pruned, starts });
          expect(from.epoch).toBe(epoch);
          expect(from.position).toBeGreaterThanOrEqual(pruned);
          expect(from.position).toBeLessThanOrEqual(position);
          if (gap === null) expect(from.position).toBe(cursor.position);
          if (cursor.epoch === epoch && cursor.position >= pruned && cursor.position <= position) expect(gap).toBeNull();
          expect(decodeCursor(encodeCursor(from))).toEqual(from);
        },
      ),
    );
  });

  it.each(['', 'x', 'MS4x', Buffer.from('2.1.1').toString('base64url')])('refuses %j as a cursor', (text) => {
    expect(decodeCursor(text)).toBeNull();
  });
});

describe('Event log: one team never sees another’s events, live or replayed', () => {
  it('the live tail’s filter shows exactly what row-level security shows', async () => {
    const teamOf = fc.constantFrom<string | null>(TEAMS[0], TEAMS[1], uuid(3), null);
    const scopeOf = fc.oneof(
      fc.record({ kind: fc.constant('tenant' as const), teamIds: fc.subarray([TEAMS[0], TEAMS[1], uuid(3)]) }),
      fc.constant<Scope>({ kind: 'platform' }),
      fc.constant<Scope>(LOOP),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(teamOf, { minLength: 1, maxLength: 12 }), scopeOf, async (teams, scope) => {
        const from = await log.head();
        await write(...teams.map((teamId, index) => draft(8, index + 1, { teamId })));
        await log.sequence();
        const replayed = await log.read(scope, { after: from, filter: {}, limit: 100 });
        const all = await log.read(PLATFORM, { after: from, filter: {}, limit: 100 });
        expect(all.events.filter((event) => isVisible(event, scope))).toEqual(replayed.events);
        expect(all.events).toHaveLength(teams.length);
      }),
      { numRuns: 25 },
    );
  });

  it('delivers live only the subscriber’s own', async () => {
    const own = follow(log, { kind: 'tenant', teamIds: [TEAMS[1]] }, { heartbeatMs: 20 });
    const nobody = follow(log, { kind: 'tenant', teamIds: [] }, { heartbeatMs: 20 });
    await eventually(() => own.deliveries.length > 1 && nobody.deliveries.length > 1);
    await write(draft(9, 1), draft(9, 2, { teamId: TEAMS[1] }), draft(9, 3, { teamId: null }));
    await eventually(() => own.events().length > 0);
    const head = await log.head();
    await eventually(() => [own, nobody].every((reader) => reader.deliveries.at(-1)?.cursor.position === head.position));
    expect(own.events().map((event) => event.subjectVersion)).toEqual([2]);
    expect(nobody.events()).toEqual([]);
  });
});

describe('Event log: an event is there exactly if its change is', () => {
  it('a transaction that fails leaves no event', async () => {
    const from = await log.head();
    const failing = db.database.write(LOOP, (tx) => {
      record(tx, draft(10, 1));
      return Promise.reject(new Error('no'));
    });
    await expect(failing).rejects.toThrow('no');
    await log.sequence();
    expect(await log.head()).toEqual(from);
  });

  it('cannot be recorded in a transaction that only reads', async () => {
    const reading = db.database.read(LOOP, async (tx) => {
      await recording(draft(10, 1))(tx);
    });
    await expect(reading).rejects.toThrow(/writes/);
  });
});
