// Runs mutations against a real database, many at once, and counts effects.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failure } from '../../src/kernel/failure.ts';
import type { Principal } from '../../src/kernel/principal.ts';
import { err, ok } from '../../src/kernel/result.ts';
import type { Transaction } from '../../src/kernel/transaction.ts';
import { record } from '../../src/events/event-log.ts';
import { Commands, KEEP_OUTCOMES_MS, pruneOutcomes } from '../../src/persistence/commands.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

const ADMIN: Principal = {
  id: '00000000-0000-7000-8000-000000000001',
  kind: 'person',
  name: 'admin',
  grants: [{ role: 'platform_admin', teamId: null, projectId: null }],
  platformActions: [],
  tokenId: null,
};
const PLATFORM = { kind: 'platform' } as const;
const SUBJECT = '00000000-0000-7000-8000-00000000000a';

let db: TestDatabase;
let commands: Commands;
let now = 1_000_000;

beforeAll(async () => {
  db = await openTestDatabase();
  commands = new Commands({ database: db.database, clock: { now: () => now } });
});
afterAll(() => db.close());

const command = (idempotencyKey: string | null, body = 'a') => ({
  principal: ADMIN,
  mutation: 'createTeam',
  idempotencyKey,
  body,
});

const insertTeam = (tx: Transaction, id: string, name: string) =>
  sqlOf(tx).execute(`insert into team (id, name, version, created_at) values ($1, $2, 1, 0)`, [id, name]);

const uuid = (n: number) => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;

const countTeams = (name: string) =>
  db.database.read(
    PLATFORM,
    async (tx) => (await sqlOf(tx).query<{ n: number }>(`select count(*) as n from team where name like $1`, [name]))[0]?.n,
  );

describe('Idempotency: one key is one effect', () => {
  it('runs once for a hundred repeats at once, and all get the same outcome', async () => {
    let runs = 0;
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, () =>
        commands.run(command('hundred'), async (tx) => {
          runs += 1;
          await insertTeam(tx, uuid(100 + runs), `hundred-${runs}`);
          return ok({ teamId: uuid(100 + runs) });
        }),
      ),
    );
    expect(runs).toBe(1);
    expect(new Set(outcomes.map((outcome) => JSON.stringify(outcome)))).toEqual(
      new Set([JSON.stringify(ok({ teamId: uuid(101) }))]),
    );
    expect(await countTeams('hundred-%')).toBe(1);
  });

  it('answers CONFLICT to the same key with another body', async () => {
    await commands.run(command('body', 'one'), () => Promise.resolve(ok({})));
    expect(await commands.run(command('body', 'two'), () => Promise.resolve(ok({})))).toMatchObject({
      ok: false,
      error: { code: 'CONFLICT' },
    });
  });

  it('answers IN_PROGRESS when the first run takes longer than the wait', async () => {
    const gate = Promise.withResolvers<undefined>();
    const started = Promise.withResolvers<undefined>();
    const first = commands.run(command('slow'), async () => {
      started.resolve(undefined);
      await gate.promise;
      return ok({});
    });
    await started.promise;
    expect(await commands.run(command('slow'), () => Promise.resolve(ok({})))).toMatchObject({
      ok: false,
      error: { code: 'IN_PROGRESS' },
    });
    gate.resolve(undefined);
    expect(await first).toEqual(ok({}));
  });

  it('keeps a refusal under the key and undoes what the body wrote and recorded', async () => {
    const refuse = async (tx: Transaction) => {
      await insertTeam(tx, uuid(200), 'refused');
      record(tx, draft());
      return err(failure('QUOTA_EXCEEDED', 'Too many.'));
    };
    const first = await commands.run(command('refused'), refuse);
    const second = await commands.run(command('refused'), () => Promise.resolve(ok({})));
    expect(second).toEqual(first);
    expect(await countTeams('refused')).toBe(0);
    const outbox = await db.database.read(PLATFORM, (tx) => sqlOf(tx).query(`select 1 from outbox`));
    expect(outbox).toHaveLength(0);
  });

  it('maps a taken unique key to ALREADY_EXISTS and keeps that outcome', async () => {
    await commands.run(command(null), async (tx) => ok({ n: await insertTeam(tx, uuid(300), 'taken') }));
    const again = await commands.run(command('taken'), async (tx) => ok({ n: await insertTeam(tx, uuid(301), 'taken') }));
    expect(again).toMatchObject({ ok: false, error: { code: 'ALREADY_EXISTS' } });
    expect(await commands.run(command('taken'), () => Promise.resolve(ok({})))).toMatchObject({
      error: { code: 'ALREADY_EXISTS' },
    });
  });

  it('a body that throws leaves nothing, and the key can be used again', async () => {
    const broken = commands.run(command('throws'), () => Promise.reject(new Error('a bug')));
    await expect(broken).rejects.toThrow('a bug');
    expect(await commands.run(command('throws'), () => Promise.resolve(ok({ n: 2 })))).toEqual(ok({ n: 2 }));
  });

  it('forgets outcomes after seven days', async () => {
    await commands.run(command('old'), () => Promise.resolve(ok({ n: 1 })));
    await db.database.write(PLATFORM, (tx) => pruneOutcomes(tx, now + KEEP_OUTCOMES_MS - 1, 1000));
    expect(await commands.run(command('old'), () => Promise.resolve(ok({ n: 2 })))).toEqual(ok({ n: 1 }));
    now += KEEP_OUTCOMES_MS + 1;
    await db.database.write(PLATFORM, (tx) => pruneOutcomes(tx, now, 1000));
    expect(await commands.run(command('old'), () => Promise.resolve(ok({ n: 2 })))).toEqual(ok({ n: 2 }));
  });
});

const draft = () => ({
  type: 'team.created',
  subjectKind: 'Team',
  subjectId: SUBJECT,
  subjectVersion: 1,
  teamId: null,
  projectId: null,
  deploymentId: null,
  severity: 'info' as const,
  at: 0,
  principal: 'test',
  message: 'made',
  before: null,
  after: { name: 'x' },
});
