// Two control planes on one database; the leading one is frozen by SIGSTOP past its leases and thawed, as a suspended machine is.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import {
  startInstallation,
  startSecondControlPlane,
  type Installation,
  type SecondControlPlane,
} from '../support/installation.ts';
import { callDigits, change, look, rowsOf, untilReady, DIGITS } from '../support/live-system.ts';

let first: Installation;
let second: Installation;
let other: SecondControlPlane;

beforeAll(async () => {
  first = await startInstallation();
  other = await startSecondControlPlane(first);
  second = other.installation;
});
afterAll(async () => {
  await other.stop();
  await first.remove();
});

interface LeaseRow {
  readonly name: string;
  readonly holder: string;
  readonly epoch: string;
}

const leases = () => rowsOf<LeaseRow>(first, `select name, holder, epoch from lease order by name`);

const SCALE = `mutation ($path: String!, $replicas: Int!) { scaleDeployment(input: { deployment: { path: $path }, replicas: $replicas })
  { deployment { id } userErrors { code message } } }`;
const scale = (through: Installation, replicas: number) => change(through, SCALE, { path: DIGITS, replicas });

const untilReplicas = (through: Installation, count: number) =>
  eventually(
    async () => (await untilReady(through)).replicas.filter(({ state }) => state === 'SERVING').length === count && look(through),
    60_000,
  );

/** What the machine's runtime was told: its highest epoch and the wishes. */
const told = () => {
  const folder = join(first.dataDir, 'runtime');
  const wishes = readdirSync(join(folder, 'workloads')).map((name) => readFileSync(join(folder, 'workloads', name), 'utf8'));
  return { epoch: readFileSync(join(folder, 'epoch'), 'utf8'), wishes };
};

/** Everything that loops write, except the time of a lease. */
const written = async () => ({
  leases: await leases(),
  events: await rowsOf(
    first,
    `select count(*) from (select subject_id from event union all select subject_id from outbox) all_events`,
  ),
  decisions: await rowsOf(first, `select count(*) from decision`),
  transitions: await rowsOf(first, `select count(*) from replica_transition`),
  deployments: await rowsOf(first, `select id, version, generation from deployment`),
});

describe('Fault: two control planes with one frozen past its lease', () => {
  test('a leader frozen past its lease and thawed changes nothing; the other leads on, and no request fails', async () => {
    const load = callDigits(first, 2);
    const before = await leases();
    expect(before.length).toBeGreaterThanOrEqual(2);
    const frozen = first.pidOf('serve');
    process.kill(frozen, 'SIGSTOP');
    await scale(second, 2);
    const seen = await untilReplicas(second, 2);
    const taken = await eventually(async () => {
      const now = await leases();
      return now.every(({ holder }, n) => holder !== before[n]?.holder) && now;
    }, 40_000);
    expect(taken.every(({ epoch }, n) => Number(epoch) > Number(before[n]?.epoch))).toBe(true);
    const [rowsBefore, toldBefore] = [await written(), told()];
    process.kill(frozen, 'SIGCONT');
    // Its API is back and tells what the other did: it has seen the database since.
    await eventually(async () => expect(await look(first)).toEqual(seen), 20_000);
    expect(await written()).toEqual(rowsBefore);
    expect(told()).toEqual(toldBefore);
    // A wish told to the thawed one is carried out by the one that leads now.
    await scale(first, 1);
    await untilReplicas(first, 1);
    expect(await leases()).toEqual(taken);
    await load.stop();
    expect(load.failed).toEqual([]);
  });

  test('a leader that leaves in order is followed at once', async () => {
    const before = await leases();
    await other.stop();
    await eventually(async () => (await leases()).every(({ holder }, n) => holder !== before[n]?.holder), 20_000);
    await scale(first, 2);
    await untilReplicas(first, 2);
  });
});
