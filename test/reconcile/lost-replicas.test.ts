// A cluster that has forgotten everything, met by a control plane that has just been started: what is left is what routers told.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CostRepository } from '../../src/costs/cost.repository.ts';
import { makeCostMetrics } from '../../src/costs/costs.metrics.ts';
import { MeteringService } from '../../src/costs/metering.service.ts';
import { newId } from '../../src/kernel/id.ts';
import { makeMetricRegistry } from '../../src/telemetry/metrics.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeControlPlane, makeGround, rows } from '../support/deployments-world.ts';
import { quietLogger } from '../support/quiet-logger.ts';
import { SimulatedCluster } from '../support/simulated-cluster.ts';

const MINUTE = 60_000;
let db: TestDatabase;

beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());

describe('Metering and ledger: the end of a replica that nobody saw', () => {
  test('is its last finished request, marked estimated; one without requests ends when it was last seen', async () => {
    const ground = await makeGround(db.database, 'acme');
    const plane = await makeControlPlane(ground);
    await plane.deploy(1, { replicas: 2 });
    await plane.until(({ phase }) => phase === 'READY');
    const replicas = await rows<{ id: string; seen: number }>(
      db.database,
      `select id, last_evidence_at as seen from replica where capacity_until is null order by id`,
    );
    const [busy, idle] = [replicas[0]!, replicas[1]!];
    ground.clock.advance(3 * 60 * MINUTE);
    const minute = Math.floor((ground.clock.now() - 40 * MINUTE) / MINUTE) * MINUTE;
    const counts = { attempts: 1, requests: 1, errors: 0, bytesIn: 0, bytesOut: 0, inputTokens: 0, outputTokens: 0 };
    const usage = { callerTeamId: ground.teamId, caller: ground.teamId, kind: 'inference' as const, experiment: '' };
    const row = { replicaId: busy.id, minute, busyUs: 5, stampedPicoUsd: '0', ...usage, ...counts };
    const source = `edge/${newId(1, ground.random)}`;
    const { database } = ground;
    const metrics = makeCostMetrics(makeMetricRegistry());
    const metering = new MeteringService({
      database,
      store: new CostRepository(),
      clock: ground.clock,
      logger: quietLogger,
      metrics,
    });
    const report = { source, sequence: 1, through: minute, tableVersion: { epoch: 'e', n: 1 }, rows: [row] };
    expect(await metering.accept(report, { name: 'edge' })).toMatchObject({ accepted: true, refusedRows: 0 });

    const successor = await makeControlPlane(ground, { cluster: new SimulatedCluster(ground.clock), holder: 'two' });
    await successor.pass();
    const ended = await rows<{ id: string; until: number; estimated: boolean }>(
      db.database,
      `select id, capacity_until as until, until_estimated as estimated from replica where id = any ($1::uuid[]) order by id`,
      [[busy.id, idle.id]],
    );
    expect(ended).toEqual([
      { id: busy.id, until: minute + MINUTE, estimated: true },
      { id: idle.id, until: idle.seen, estimated: true },
    ]);
  });
});

describe('Observation: a replica that is there again after its end was written', () => {
  test('counts once: it is told what to do, and nothing breaks however long that takes', async () => {
    const ground = await makeGround(db.database, 'globex');
    const plane = await makeControlPlane(ground);
    await plane.deploy(1);
    await plane.until(({ phase }) => phase === 'READY');
    ground.cluster.forgetful = true;
    await plane.pass();
    ground.cluster.forgetful = false;
    for (const hours of [0, 3, 30]) {
      ground.clock.advance(hours * 60 * MINUTE);
      await plane.pass();
      const { conditions } = await plane.look();
      expect(conditions.find(({ type }) => type === 'Ready')?.message).toMatch(/1 of its replicas .* restart it/i);
    }
    ground.cluster.restart();
    await plane.until(({ phase }) => phase === 'READY');
    const ids = await rows<{ id: string }>(db.database, `select id from replica where team_id = $1`, [ground.teamId]);
    expect(ids).toHaveLength(2);
  });
});
