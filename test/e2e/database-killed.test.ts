// A whole installation whose database is killed by SIGKILL while many write and call, and tokens that end while it runs.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pidOf } from '../../src/persistence/postgres-server.ts';
import { eventually } from '../support/eventually.ts';
import { databaseFolder, startInstallation, type Installation } from '../support/installation.ts';
import { ask, callDigits, callOnce, change, countedRequests, rowsOf, untilReady } from '../support/live-system.ts';

const WRITERS = 8;
let purser: Installation;

beforeAll(async () => {
  purser = await startInstallation();
});
afterAll(() => purser.remove());

const databasePid = async (): Promise<number> => (await pidOf(databaseFolder(purser.dataDir))) ?? 0;

const REGISTER = `mutation ($name: String!, $key: String!) { registerModel(input: { project: { path: "example/demo" }, name: $name }, idempotencyKey: $key)
  { model { name } userErrors { code message } } }`;

/** Registers one model after the other until told to stop; what was acknowledged, and how often it had to ask again. */
class Writer {
  readonly acknowledged: string[] = [];
  repeats = 0;
  #stopped = false;
  readonly #done: Promise<void>;

  constructor(name: string) {
    this.#done = this.#run(name);
  }

  async #run(writer: string): Promise<void> {
    for (let n = 0; !this.#stopped; n += 1) {
      const name = `${writer}-${n}`;
      await eventually(
        () =>
          change(purser, REGISTER, { name, key: `key-${name}` }).catch((error: unknown) => {
            this.repeats += 1;
            throw error;
          }),
        60_000,
      );
      this.acknowledged.push(name);
    }
  }

  stop(): Promise<void> {
    this.#stopped = true;
    return this.#done;
  }
}

describe('PostgreSQL SIGKILLed under load', () => {
  test('no acknowledged write is lost or done twice, and callers of models notice nothing', async () => {
    const load = callDigits(purser, 2);
    const writers = Array.from({ length: WRITERS }, (_value, n) => new Writer(`writer${n}`));
    const written = () => writers.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0);
    for (let round = 1; round <= 2; round += 1) {
      const [before, enough] = [await databasePid(), written() + 60];
      await eventually(() => written() >= enough, 30_000);
      process.kill(before, 'SIGKILL');
      await eventually(async () => ![0, before].includes(await databasePid()), 30_000);
    }
    const atReturn = written();
    await eventually(() => written() > atReturn + 60, 30_000);
    await Promise.all(writers.map((writer) => writer.stop()));
    await load.stop();
    expect(load.failed).toEqual([]);
    expect(writers.reduce((sum, { repeats }) => sum + repeats, 0)).toBeGreaterThan(0);
    const acknowledged = writers.flatMap((writer) => writer.acknowledged).sort();
    const models = await rowsOf<{ name: string }>(purser, `select name from model where name like 'writer%'`);
    expect(models.map(({ name }) => name).sort()).toEqual(acknowledged);
    const events = await rowsOf<{ name: string }>(
      purser,
      `select after->>'name' as name from (select type, after from event union all select type, after from outbox) all_events where type = 'model.registered' and after->>'name' like 'writer%'`,
    );
    expect(events.map(({ name }) => name).sort()).toEqual(acknowledged);
    const sent = load.answers.length + 5;
    expect(await eventually(async () => (await countedRequests(purser)) >= sent && countedRequests(purser), 20_000)).toBe(sent);
    await untilReady(purser);
  });

  test('with control plane and database dead at once the router answers, and both come back by themselves', async () => {
    const load = callDigits(purser, 2);
    const [database, serve] = [await databasePid(), purser.pidOf('serve')];
    // Stopped first, so that it cannot bring the database back.
    process.kill(serve, 'SIGSTOP');
    process.kill(database, 'SIGKILL');
    const atDeath = load.answers.length;
    await eventually(() => load.answers.length > atDeath + 500, 30_000);
    expect(await pidOf(databaseFolder(purser.dataDir))).toBeNull();
    process.kill(serve, 'SIGKILL');
    await untilReady(purser);
    await load.stop();
    expect(load.failed).toEqual([]);
  });
});

const CALLER = `mutation ($input: CreatePrincipalInput!) { createPrincipal(input: $input) { principal { id } userErrors { code message } } }`;
const TOKEN = `mutation ($input: CreateTokenInput!) { createToken(input: $input) { secret token { id } userErrors { code message } } }`;

async function callerToken(name: string, expiresAt: string | null): Promise<{ secret: string; id: string }> {
  const grants = [{ role: 'INVOKER', project: { path: 'example/demo' } }];
  const { principal } = await change<{ principal: { id: string } }>(purser, CALLER, {
    input: { name, team: { path: 'example' }, grants },
  });
  const { secret, token } = await change<{ secret: string; token: { id: string } }>(purser, TOKEN, {
    input: { name, principal: principal.id, expiresAt },
  });
  await eventually(async () => (await callOnce(purser, secret)) === 200);
  return { secret, id: token.id };
}

describe('Tokens that end', () => {
  test('a revoked one is refused by the router within a second', async () => {
    const { secret, id } = await callerToken('revoked', null);
    await change(purser, `mutation ($id: ID!) { revokeToken(input: { token: $id }) { userErrors { code message } } }`, { id });
    const revoked = performance.now();
    await eventually(async () => (await callOnce(purser, secret)) === 401);
    expect(performance.now() - revoked).toBeLessThan(1_000);
    await expect(ask({ ...purser, adminToken: secret }, '{ viewer { __typename } }')).rejects.toThrow(/UNAUTHENTICATED/);
  });

  test('an expired one is refused by the router alone, with the control plane frozen', async () => {
    const expiresAt = Date.now() + 4_000;
    const { secret } = await callerToken('expired', new Date(expiresAt).toISOString());
    const serve = purser.pidOf('serve');
    process.kill(serve, 'SIGSTOP');
    try {
      expect(await callOnce(purser, secret)).toBe(200);
      await eventually(async () => (await callOnce(purser, secret)) === 401);
      expect(Date.now()).toBeGreaterThanOrEqual(expiresAt);
    } finally {
      process.kill(serve, 'SIGCONT');
    }
  });
});
