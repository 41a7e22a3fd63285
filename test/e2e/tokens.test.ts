// The built product, beside it a second control plane on the same database with a router of its own, and an OpenID Connect issuer of the
// test's own. Of the routers one refuses to go on with an old table. Control planes are frozen by SIGSTOP where a router must know by itself.
import { spawn, type ChildProcess } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { builtEntry, builtNode } from '../support/build.ts';
import { eventually } from '../support/eventually.ts';
import { freePorts, startInstallation, type Installation } from '../support/installation.ts';
import { ask, callOnce, change } from '../support/live-system.ts';

/** The promise: what is revoked is refused by every connected router within this. */
const REVOKED_WITHIN_MS = 1_000;
const AUDIENCE = 'purser-test';
const TABLE_AGE_S = 10;

let issuer: Server;
let issuerUrl: string;
let key: Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];
let purser: Installation;
let second: Installation;
let secondPlane: ChildProcess;
let secondRouter: ChildProcess;

beforeAll(async () => {
  await startIssuer();
  purser = await startInstallation({
    env: { PURSER_OIDC_ISSUER: issuerUrl, PURSER_OIDC_AUDIENCE: AUDIENCE, PURSER_MAX_TABLE_AGE_SECONDS: String(TABLE_AGE_S) },
  });
  const ports = await freePorts();
  secondPlane = run('serve', { ...purser.env, ...ports });
  await eventually(async () => (await fetch(`http://127.0.0.1:${ports.PURSER_PORT ?? ''}/readyz`)).ok, 60_000);
  const dataDir = mkdtempSync(join(tmpdir(), 'purser-router-'));
  copyFileSync(join(purser.dataDir, 'router-token'), join(dataDir, 'router-token'));
  // This one has no limit: it serves the last table for ever.
  secondRouter = run('router', { ...purser.env, ...ports, PURSER_DATA_DIR: dataDir, PURSER_MAX_TABLE_AGE_SECONDS: '' });
  second = { ...purser, dataDir, routerUrl: `http://127.0.0.1:${ports.PURSER_ROUTER_PORT ?? ''}` };
  await eventually(async () => (await fetch(`${second.routerUrl}/-/readyz`)).ok, 30_000);
});
afterAll(async () => {
  for (const child of [secondRouter, secondPlane]) {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }
  rmSync(second.dataDir, { recursive: true, force: true });
  await purser.remove();
  issuer.close();
});

const run = (name: string, env: NodeJS.ProcessEnv) => spawn(builtNode, [builtEntry, name], { env, stdio: 'ignore' });

async function startIssuer(): Promise<void> {
  const pair = await generateKeyPair('ES256');
  key = pair.privateKey;
  const jwks = { keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'one', alg: 'ES256' }] };
  issuer = createServer((request, response) => {
    const discovery = { issuer: issuerUrl, jwks_uri: `${issuerUrl}/keys` };
    response.end(JSON.stringify(request.url === '/keys' ? jwks : discovery));
  });
  await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve));
  issuerUrl = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}`;
}

const jwtOf = (subject: string) =>
  new SignJWT({ iss: issuerUrl, aud: AUDIENCE, sub: subject })
    .setProtectedHeader({ alg: 'ES256', kid: 'one' })
    .setExpirationTime('10m')
    .sign(key);

const onEveryRouter = (token: string) => Promise.all([callOnce(purser, token), callOnce(second, token)]);
const refusedByAll = async (token: string) => (await onEveryRouter(token)).every((status) => status === 401);

async function tableAgeMetric(): Promise<number> {
  const metrics = await (await fetch(`${purser.routerUrl}/-/metrics`)).text();
  return Number(/^purser_router_table_age_seconds (\S+)/m.exec(metrics)?.[1]);
}

/** A service account that may invoke the example. */
async function invoker(name: string): Promise<string> {
  const { principal } = await change<{ principal: { id: string } }>(
    purser,
    `mutation ($name: String!) { createPrincipal(input: { name: $name, team: { path: "example" }, grants: [{ role: INVOKER, team: { path: "example" } }] })
      { principal { id } userErrors { code message } } }`,
    { name },
  );
  return principal.id;
}

interface NewToken {
  readonly secret: string;
  readonly token: { readonly id: string };
}

const tokenFor = (principal: string, expiresAt: string | null = null): Promise<NewToken> =>
  change<NewToken>(
    purser,
    `mutation ($input: CreateTokenInput!) { createToken(input: $input) { secret token { id } userErrors { code message } } }`,
    { input: { principal, name: 'a', expiresAt } },
  );

describe('Identity: tokens at routers', () => {
  test('a revoked token is refused by every connected router within a second', async () => {
    const account = await invoker('revoked');
    for (let round = 0; round < 5; round += 1) {
      const { secret, token } = await tokenFor(account);
      await eventually(async () => (await onEveryRouter(secret)).every((status) => status === 200));
      await change(purser, `mutation ($token: ID!) { revokeToken(input: { token: $token }) { userErrors { code message } } }`, {
        token: token.id,
      });
      const revoked = performance.now();
      await eventually(() => refusedByAll(secret));
      expect(performance.now() - revoked).toBeLessThan(REVOKED_WITHIN_MS);
    }
  });

  test('an expired token is refused without a word from the control plane; table age is told and limited where asked', async () => {
    const expiresAt = Date.now() + 4_000;
    const { secret } = await tokenFor(await invoker('expires'), new Date(expiresAt).toISOString());
    const { secret: lasting } = await tokenFor(await invoker('lasts'));
    for (const token of [secret, lasting])
      await eventually(async () => (await onEveryRouter(token)).every((status) => status === 200));
    const planes = [purser.pidOf('serve'), secondPlane.pid ?? 0];
    for (const pid of planes) process.kill(pid, 'SIGSTOP');
    try {
      await eventually(() => refusedByAll(secret));
      const late = Date.now() - expiresAt;
      expect(late).toBeGreaterThan(-50);
      expect(late).toBeLessThan(1_000);
      expect(await onEveryRouter(lasting)).toEqual([200, 200]);
      await eventually(async () => (await callOnce(purser, lasting)) === 503, 2 * TABLE_AGE_S * 1_000);
      expect(await callOnce(second, lasting)).toBe(200);
      const status = (await (await fetch(`${purser.routerUrl}/-/status`)).json()) as { tableAgeMs: number };
      expect(status.tableAgeMs).toBeGreaterThan(TABLE_AGE_S * 1_000);
      await eventually(async () => (await tableAgeMetric()) > TABLE_AGE_S);
    } finally {
      for (const pid of planes) process.kill(pid, 'SIGCONT');
    }
    await eventually(async () => (await callOnce(purser, lasting)) === 200, 30_000);
    expect(await refusedByAll(secret)).toBe(true);
  });
});

describe('Identity: OIDC bearer tokens of the configured issuer', () => {
  test('are good at the API and at the router for whom an administrator let in, and for nobody else', async () => {
    const alice = await jwtOf('alice');
    const mallory = await jwtOf('mallory');
    const asAlice = { ...purser, adminToken: alice };
    await expect(ask(asAlice, '{ viewer { principal { name } } }')).rejects.toThrow('UNAUTHENTICATED');
    await change(
      purser,
      `mutation ($oidc: OidcSubjectInput!) { createPrincipal(input: { name: "alice", team: { path: "example" }, oidc: $oidc,
        grants: [{ role: OPERATOR, team: { path: "example" } }] }) { principal { id } userErrors { code message } } }`,
      { oidc: { issuer: issuerUrl, subject: 'alice' } },
    );
    expect(await ask(asAlice, '{ viewer { principal { name } } }')).toEqual({ viewer: { principal: { name: 'alice' } } });
    await eventually(async () => (await onEveryRouter(alice)).every((status) => status === 200));
    expect(await onEveryRouter(mallory)).toEqual([401, 401]);
    expect(await onEveryRouter(`${alice.slice(0, -4)}AAAA`)).toEqual([401, 401]);
  });
});
