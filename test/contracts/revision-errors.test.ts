// Rows of usage in a real database, of replicas that are there and of one that is gone.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RevisionErrorRepository } from '../../src/costs/revision-errors.repository.ts';
import { newId } from '../../src/kernel/id.ts';
import { MINUTE_MS } from '../../src/kernel/instant.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { seededRandom } from '../support/actors.ts';
import { addReplica, makeCostedWorld, type CostedWorld } from '../support/costed-world.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

const SYSTEM = { kind: 'reconciler', loop: 'test' } as const;
const T0 = Date.parse('2026-11-02T10:00:00Z');
const random = seededRandom(3);

let db: TestDatabase;
let world: CostedWorld;

const used = (replicaId: string, minute: number, requests: number, errors: number) =>
  db.database.write(SYSTEM, (tx) =>
    sqlOf(tx).execute(
      `insert into usage_minute (replica_id, minute, team_id, caller_team_id, caller, kind, experiment, busy_us, attempts, requests, errors,
         bytes_in, bytes_out, input_tokens, output_tokens, stamped)
       values ($1, $2, $3, $4, $4, 'inference', '', 0, $5, $5, $6, 0, 0, 0, 0, 0)`,
      [replicaId, minute, world.teamId, world.teamId, requests, errors],
    ),
  );

beforeAll(async () => {
  db = await openTestDatabase();
  world = await db.database.write(SYSTEM, (tx) => makeCostedWorld(tx, 5, 'acme'));
  const ends = [T0 + 3 * MINUTE_MS, undefined, undefined];
  for (const [n, until] of ends.entries()) {
    const id = newId(T0, random);
    const life = { from: T0, ...(until === undefined ? {} : { until }), transitions: [[T0, 'serving']] as const };
    await db.database.write(SYSTEM, (tx) => addReplica(tx, world, { id, ...life }));
    await used(id, T0, 100, 50);
    await used(id, T0 + MINUTE_MS, 10, n === 0 ? 9 : 1);
  }
});
afterAll(() => db.close());

describe('Rollout: errors that count against a new revision', () => {
  test('are those of replicas that are still there, since the minute in which it was watched', async () => {
    const errors = await db.database.read(SYSTEM, (tx) =>
      new RevisionErrorRepository().errorsOf(tx, [world.revisionId], T0 + MINUTE_MS + 17),
    );
    expect([...errors]).toEqual([[world.revisionId, { requests: 20, errors: 2 }]]);
  });
});
