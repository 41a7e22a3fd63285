// A real OpenID Connect provider on a loopback port issues tokens; its own key then signs the bad ones, so that only one thing is wrong.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CompactSign, exportJWK, generateKeyPair, SignJWT, type JWK } from 'jose';
import Provider from 'oidc-provider';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { ClusterRepository } from '../../src/fleet/cluster.repository.ts';
import { DeploymentRepository } from '../../src/deployments/deployment.repository.ts';
import { RouteTableRepository } from '../../src/deployments/route-table.repository.ts';
import { RouteTableService } from '../../src/deployments/route-table.service.ts';
import { AuthenticationService } from '../../src/identity/authentication.service.ts';
import { CredentialsService } from '../../src/identity/credentials.service.ts';
import { IdentityRepository } from '../../src/identity/identity.repository.ts';
import { IdentityService } from '../../src/identity/identity.service.ts';
import { JoseOidcVerifier } from '../../src/identity/oidc-verifier.adapter.ts';
import { systemClock, systemRandom } from '../../src/main/system-clock.ts';
import { Commands } from '../../src/persistence/commands.ts';
import { principalOf } from '../support/actors.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { quietLogger } from '../support/quiet-logger.ts';

const AUDIENCE = 'https://purser.example';
const ADMIN = { principal: principalOf('platform_admin', null), idempotencyKey: null };
const LOOP = { kind: 'reconciler', loop: 'test' } as const;

type Key = Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];

let server: Server;
let issuer: string;
let key: Key;
let publicJwk: JWK;
let db: TestDatabase;
let verifier: JoseOidcVerifier;
let authentication: AuthenticationService;
let identity: IdentityService;
const store = new IdentityRepository();

beforeAll(async () => {
  const pair = await generateKeyPair('RS256', { extractable: true });
  key = pair.privateKey;
  publicJwk = await exportJWK(pair.publicKey);
  server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const provider = new Provider(issuer, {
    jwks: { keys: [{ ...(await exportJWK(key)), kid: 'one', alg: 'RS256', use: 'sig' }] },
    clients: ['alice', 'mallory'].map((name) => ({
      client_id: name,
      client_secret: `secret-of-${name}`,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    })),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: '',
          audience: AUDIENCE,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 600,
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  });
  const answer = provider.callback();
  server.on('request', (request, response) => void answer(request, response));
  db = await openTestDatabase();
  verifier = new JoseOidcVerifier({ issuer, audience: AUDIENCE, clock: systemClock, file: null });
  const deps = { database: db.database, clock: systemClock, random: systemRandom, store };
  authentication = new AuthenticationService({ ...deps, oidc: verifier });
  identity = new IdentityService({ ...deps, commands: new Commands(deps) });
});
afterAll(async () => {
  server.close();
  await db.close();
});

/** What the provider gives to a client that proves itself. */
async function issued(client: string): Promise<string> {
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${client}:secret-of-${client}`)}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', resource: AUDIENCE }),
  });
  const body = (await response.json()) as { access_token: string };
  expect(response.status, JSON.stringify(body)).toBe(200);
  return body.access_token;
}

interface Claims {
  iss?: string;
  aud?: string;
  sub?: string;
  exp?: number;
  nbf?: number;
}

const seconds = () => Math.floor(Date.now() / 1000);

/** A token as the provider would sign it, but for what is given. */
const signed = (claims: Claims, signer: Key | Uint8Array = key, alg = 'RS256') =>
  new SignJWT({ iss: issuer, aud: AUDIENCE, sub: 'alice', exp: seconds() + 600, ...claims })
    .setProtectedHeader({ alg, kid: 'one' })
    .sign(signer);

const without = (claim: 'exp' | 'sub') => {
  const claims = { iss: issuer, aud: AUDIENCE, ...(claim === 'sub' ? { exp: seconds() + 600 } : { sub: 'alice' }) };
  return new CompactSign(new TextEncoder().encode(JSON.stringify(claims)))
    .setProtectedHeader({ alg: 'RS256', kid: 'one' })
    .sign(key);
};

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('Identity: OIDC bearer tokens of the configured issuer', () => {
  it('accepts what the issuer signed, and nobody whom no administrator let in', async () => {
    expect(await verifier.verify(await issued('mallory'))).toEqual({ issuer, subject: 'mallory' });
    expect(await authentication.authenticate(await issued('mallory'))).toBeNull();
  });

  it('knows a person whom an administrator let in, with the roles given, and no more once they are taken', async () => {
    const team = await identity.createTeam(ADMIN, { name: 'oidc' });
    if (!team.ok) throw new Error(team.error.message);
    const grant = { role: 'operator' as const, teamId: team.value.teamId, projectId: null };
    const made = await identity.createPrincipal(ADMIN, {
      team: { id: team.value.teamId },
      name: 'alice',
      oidc: { issuer, subject: 'alice' },
      grants: [grant],
    });
    if (!made.ok) throw new Error(made.error.message);
    const token = await issued('alice');
    expect(await authentication.authenticate(token)).toMatchObject({
      id: made.value.principalId,
      kind: 'person',
      grants: [grant],
      tokenId: null,
    });
    const keys = verifier.keys();
    const table = await db.database.read(LOOP, (tx) =>
      new CredentialsService(store, verifier).forRouteTable(tx, Date.now(), keys),
    );
    expect(JSON.parse(keys ?? '')).toMatchObject({ keys: [{ kid: 'one', n: publicJwk.n }] });
    expect(table.issuers).toEqual([
      {
        issuer,
        audience: AUDIENCE,
        jwks: keys,
        people: [
          {
            subject: 'alice',
            principalId: made.value.principalId,
            callerTeamId: team.value.teamId,
            access: { all: false, teamIds: [team.value.teamId], projectIds: [] },
          },
        ],
      },
    ]);
    await identity.revokeRole(ADMIN, { principalId: made.value.principalId, grant });
    expect((await authentication.authenticate(token))?.grants).toEqual([]);
  });

  test.each<[string, () => Promise<string> | string]>([
    ['of another audience', () => signed({ aud: 'somebody-else' })],
    ['of another issuer', () => signed({ iss: 'https://elsewhere.example' })],
    ['that has expired', () => signed({ exp: seconds() - 60 })],
    ['that is not valid yet', () => signed({ nbf: seconds() + 60 })],
    ['that never expires', () => without('exp')],
    ['about nobody', () => without('sub')],
    ['signed with another key', async () => signed({}, (await generateKeyPair('RS256')).privateKey)],
    [
      'signed with the public key as if it were a shared secret',
      () => signed({}, new TextEncoder().encode(JSON.stringify(publicJwk)), 'HS256'),
    ],
    [
      'that is not signed',
      () => `${part({ alg: 'none' })}.${part({ iss: issuer, aud: AUDIENCE, sub: 'alice', exp: seconds() + 600 })}.`,
    ],
    [
      'whose claims were changed',
      async () =>
        (await signed({})).replace(/\.[^.]+\./, `.${part({ iss: issuer, aud: AUDIENCE, sub: 'root', exp: seconds() + 600 })}.`),
    ],
    ['that is noise', () => 'a.b.c'],
    ['that is no token at all', () => 'hello'],
  ])('refuses a token %s', async (_what, make) => {
    expect(await verifier.verify(await signed({}))).toEqual({ issuer, subject: 'alice' });
    expect(await verifier.verify(await make())).toBeNull();
  });

  it('refuses, without failing, while the issuer cannot be reached or speaks for another', async () => {
    const nowhere = new JoseOidcVerifier({ issuer: 'http://127.0.0.1:9', audience: AUDIENCE, clock: systemClock, file: null });
    expect(await nowhere.verify(await signed({}))).toBeNull();
    expect(nowhere.keys()).toBeNull();
    const alias = new JoseOidcVerifier({
      issuer: issuer.replace('127.0.0.1', 'localhost'),
      audience: AUDIENCE,
      clock: systemClock,
      file: null,
    });
    expect(await alias.verify(await signed({}))).toBeNull();
    expect(alias.keys()).toBeNull();
  });
});

/** An issuer that counts how often it is asked for its keys, changes them and goes away, with a clock that is moved by hand. */
async function movableIssuer() {
  const keys: { kid: string; key: Key; jwk: JWK }[] = [];
  const told = { fetched: 0, mode: 'answers' as 'answers' | 'fails' | 'hangs' };
  const answer = (url: string) => {
    if (!url.endsWith('/jwks')) return { issuer: address, jwks_uri: `${address}/jwks` };
    told.fetched += 1;
    return { keys: keys.map(({ kid, jwk }) => ({ ...jwk, kid, alg: 'ES256' })) };
  };
  const http = createServer((request, response) => {
    if (told.mode === 'hangs') return;
    response.statusCode = told.mode === 'fails' ? 500 : 200;
    response.end(JSON.stringify(answer(request.url ?? '')));
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const clock = { at: systemClock.now(), now: () => clock.at };
  const rotate = async (kid: string) => {
    const pair = await generateKeyPair('ES256');
    keys.splice(0, keys.length, { kid, key: pair.privateKey, jwk: await exportJWK(pair.publicKey) });
  };
  const token = (kid = keys[0]!.kid) =>
    new SignJWT({ iss: address, aud: AUDIENCE, sub: 'alice', exp: seconds() + 600 })
      .setProtectedHeader({ alg: 'ES256', kid })
      .sign(keys[0]!.key);
  const folder = mkdtempSync(join(tmpdir(), 'purser-oidc-'));
  await rotate('first');
  const close = () => {
    http.closeAllConnections();
    http.close();
    rmSync(folder, { recursive: true });
  };
  const restarted = (issuer = address) =>
    new JoseOidcVerifier({ issuer, audience: AUDIENCE, clock, file: join(folder, 'keys.json') });
  return { told, clock, rotate, token, close, restarted, verifier: restarted() };
}

describe('Identity: the keys of the issuer', () => {
  it('are fetched once for any number of tokens and tables, and again after a minute', async () => {
    const issuer = await movableIssuer();
    const token = await issuer.token();
    await Promise.all(Array.from({ length: 20 }, () => issuer.verifier.verify(token)));
    for (let i = 0; i < 100; i += 1) expect(issuer.verifier.keys()).toContain('"kid":"first"');
    expect(issuer.told.fetched).toBe(1);
    issuer.clock.at += 60_000;
    issuer.verifier.keys();
    await eventually(() => issuer.told.fetched === 2);
    issuer.close();
  });

  it('are fetched for a token of a key that is new, but not for every stranger', async () => {
    const issuer = await movableIssuer();
    expect(await issuer.verifier.verify(await issuer.token())).not.toBeNull();
    await issuer.rotate('second');
    issuer.clock.at += 5_000;
    expect(await issuer.verifier.verify(await issuer.token())).toMatchObject({ subject: 'alice' });
    expect(issuer.verifier.keys()).toContain('"kid":"second"');
    expect(issuer.told.fetched).toBe(2);
    for (let i = 0; i < 20; i += 1) expect(await issuer.verifier.verify(await issuer.token(`stranger-${i}`))).toBeNull();
    expect(issuer.told.fetched).toBe(2);
    issuer.close();
  });

  it.each(['fails', 'hangs'] as const)('stay while the issuer %s, and nobody waits for it', async (mode) => {
    const issuer = await movableIssuer();
    const token = await issuer.token();
    await issuer.verifier.verify(token);
    issuer.told.mode = mode;
    issuer.clock.at += 3_600_000;
    const started = performance.now();
    expect(issuer.verifier.keys()).toContain('"kid":"first"');
    // An hour later by the clock of the verifier alone: the token itself has not expired.
    expect(await issuer.verifier.verify(token)).toMatchObject({ subject: 'alice' });
    expect(performance.now() - started).toBeLessThan(2_000);
    issuer.close();
  });

  it('are known after a restart while the issuer is away, and never taken for those of another', async () => {
    const issuer = await movableIssuer();
    const token = await issuer.token();
    await issuer.verifier.verify(token);
    issuer.told.mode = 'fails';
    const restarted = issuer.restarted();
    expect(restarted.keys()).toContain('"kid":"first"');
    expect(await restarted.verify(token)).toMatchObject({ subject: 'alice' });
    expect(issuer.restarted('http://127.0.0.1:9').keys()).toBeNull();
    issuer.close();
  });

  it('reach the route table when they are first known and when they change, with no commit in between', async () => {
    const issuer = await movableIssuer();
    const table = new RouteTableService({
      database: db.database,
      store: new DeploymentRepository(),
      versions: new RouteTableRepository(),
      clusters: new ClusterRepository(),
      credentials: new CredentialsService(store, issuer.verifier),
      prices: { believedAt: () => Promise.resolve(new Map()) },
      clock: systemClock,
      random: systemRandom,
      logger: quietLogger,
    });
    const known = () => table.current()?.issuers[0]?.jwks ?? '';
    table.start();
    await eventually(() => known().includes('first'));
    await issuer.rotate('second');
    issuer.clock.at += 60_000;
    await eventually(() => known().includes('second'));
    await table.stop();
    issuer.close();
  });
});
