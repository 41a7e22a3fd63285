// Measures the event log on the embedded PostgreSQL with its real settings: appends per second in batches, and how long after its
// commit an event reaches a subscriber.
import { mkdtemp, rm, chmod } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EventLog, record } from '../../src/events/event-log.ts';
import type { EventDraft } from '../../src/kernel/event.ts';
import type { Scope } from '../../src/kernel/transaction.ts';
import type { Database } from '../../src/persistence/database.ts';
import { openDatabase } from '../../src/persistence/open-database.ts';
import { quietLogger } from '../support/quiet-logger.ts';
import type { BenchRow } from './bench-row.ts';

const SCOPE: Scope = { kind: 'reconciler', loop: 'bench' };
const BATCH = 100;
const BATCHES = 400;
const WRITERS = 4;
const DELIVERIES = 200;

const draft = (version: number): EventDraft => ({
  type: 'replica.scaled',
  subjectKind: 'Replica',
  subjectId: '00000000-0000-7000-8000-000000000001',
  subjectVersion: version,
  teamId: null,
  projectId: null,
  deploymentId: null,
  severity: 'info',
  at: 0,
  principal: 'bench',
  message: 'measured',
  before: { replicas: version - 1 },
  after: { replicas: version },
});

/** Appends/s until everything has a position, and the median delay from commit to subscriber. */
export async function run(): Promise<BenchRow[]> {
  const folder = await mkdtemp(join(tmpdir(), 'purser-bench-'));
  await chmod(folder, 0o755);
  const opened = await openDatabase({ dataDir: join(folder, 'data'), systemFolder: join(folder, 'system') });
  const log = new EventLog({ database: opened.database, clock: { now: () => Date.now() }, logger: quietLogger });
  await log.start();
  try {
    return [
      {
        name: 'event log: appends in batches of 100, numbered',
        value: await appendsPerSecond(opened.database, log),
        unit: '1/s',
        goal: '≥ 5000',
      },
      {
        name: 'event log: live delivery after commit, p50',
        value: await deliveryMs(opened.database, log),
        unit: 'ms',
        goal: '≤ 50',
      },
    ];
  } finally {
    await log.stop();
    await opened.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function appendsPerSecond(database: Database, log: EventLog): Promise<number> {
  const started = performance.now();
  const writer = async (): Promise<void> => {
    for (let batch = 0; batch < BATCHES / WRITERS; batch += 1) await append(database, BATCH);
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
  await log.sequence();
  return Math.round((BATCH * BATCHES * 1000) / (performance.now() - started));
}

const append = (database: Database, count: number): Promise<void> =>
  database.write(SCOPE, (tx) => {
    record(tx, ...Array.from({ length: count }, (_, index) => draft(index + 1)));
    return Promise.resolve();
  });

async function deliveryMs(database: Database, log: EventLog): Promise<number> {
  const stop = new AbortController();
  const deliveries = log.follow({ kind: 'platform' }, { after: null, filter: {}, signal: stop.signal });
  await deliveries.next();
  const delays: number[] = [];
  let arrived = nextEvent(deliveries);
  for (let n = 0; n < DELIVERIES; n += 1) {
    await append(database, 1);
    const committed = performance.now();
    await arrived;
    delays.push(performance.now() - committed);
    arrived = nextEvent(deliveries);
  }
  stop.abort();
  await arrived;
  delays.sort((a, b) => a - b);
  return Math.round((delays[Math.floor(delays.length / 2)] ?? 0) * 10) / 10;
}

async function nextEvent(deliveries: AsyncGenerator<{ kind: string }, void>): Promise<void> {
  for (;;) {
    const next = await deliveries.next();
    if (next.done || next.value.kind === 'event') return;
  }
}
