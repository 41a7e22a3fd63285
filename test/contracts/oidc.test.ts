// A real OpenID Connect provider on a loopback port issues tokens; its own key then signs the bad ones, so that only one thing is wrong.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CompactSign, exportJWK, generateKeyPair, SignJWT, type JWK } from 'jose';
import Provider from 'oidc-provider';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { AuthenticationService } from '../../src/identity/authentication.service.ts';
import { CredentialsService } from '../../src/identity/credentials.service.ts';
import { IdentityRepository } from '../../src/identity/identity.repository.ts';
import { IdentityService } from '../../src/identity/identity.service.ts';
import { JoseOidcVerifier } from '../../src/identity/oidc-verifier.adapter.ts';
import { systemClock, systemRandom } from '../../src/main/system-clock.ts';
import { Commands } from '../../src/persistence/commands.ts';
import { principalOf } from '../support/actors.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

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
  verifier = new JoseOidcVerifier({ issuer, audience: AUDIENCE });
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
    const keys = await verifier.keys();
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
    const nowhere = new JoseOidcVerifier({ issuer: 'http://127.0.0.1:9', audience: AUDIENCE });
    expect(await nowhere.verify(await signed({}))).toBeNull();
    expect(await nowhere.keys()).toBeNull();
    const alias = new JoseOidcVerifier({ issuer: issuer.replace('127.0.0.1', 'localhost'), audience: AUDIENCE });
    expect(await alias.keys()).toBeNull();
  });
});
