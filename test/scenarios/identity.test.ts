// Real database, real services; OIDC tokens come from a real issuer (oidc-provider) on a loopback port.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import Provider from 'oidc-provider';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthenticationService } from '../../src/identity/authentication.service.ts';
import { BootstrapService } from '../../src/identity/bootstrap.service.ts';
import { CredentialsService } from '../../src/identity/credentials.service.ts';
import { IdentityRepository } from '../../src/identity/identity.repository.ts';
import { IdentityService } from '../../src/identity/identity.service.ts';
import { JoseOidcVerifier } from '../../src/identity/oidc-verifier.adapter.ts';
import type { Principal } from '../../src/kernel/principal.ts';
import type { Result } from '../../src/kernel/result.ts';
import { Commands } from '../../src/persistence/commands.ts';
import { systemRandom } from '../../src/main/system-clock.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

const HOUR = 3_600_000;
const NOW = Date.now();
const clock = { at: NOW, now: () => clock.at };
const store = new IdentityRepository();
let db: TestDatabase;
let identity: IdentityService;
let authentication: AuthenticationService;
let bootstrap: BootstrapService;
let admin: Principal;

function wire(oidc: JoseOidcVerifier | null) {
  const { database } = db;
  identity = new IdentityService({ commands: new Commands({ database, clock }), store, clock, random: systemRandom });
  authentication = new AuthenticationService({ database, store, clock, oidc });
  bootstrap = new BootstrapService({ database, store, clock, random: systemRandom });
}

beforeAll(async () => {
  db = await openTestDatabase();
  wire(null);
  admin = (await authentication.authenticate(await bootstrap.adminToken(null)))!;
});
afterAll(() => db.close());

const by = (principal: Principal, idempotencyKey: string | null = null) => ({ principal, idempotencyKey });

function value<T>(result: Result<T, { message: string }>): T {
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}

/** A team with one administrator, signed in by a token. */
async function makeTeam(name: string) {
  const { teamId } = value(await identity.createTeam(by(admin), { name }));
  const grants = [{ role: 'team_admin' as const, teamId, projectId: null }];
  const { principalId } = value(await identity.createPrincipal(by(admin), { team: { id: teamId }, name: `${name}-admin`, oidc: null, grants }));
  const made = value(await identity.createToken(by(admin), { principalId, name: 'first', scope: null, expiresAt: null }));
  const principal = (await authentication.authenticate(made.token!))!;
  return { teamId, principalId, principal, token: made.token!, tokenId: made.tokenId };
}

describe('Identity: first start', () => {
  test('the admin token is kept while it lives and replaced when its file is lost', async () => {
    const first = await bootstrap.adminToken(null);
    expect(await bootstrap.adminToken(first)).toBe(first);
    const second = await bootstrap.adminToken(null);
    expect(second).not.toBe(first);
    expect((await authentication.authenticate(second))?.id).toBe((await authentication.authenticate(first))?.id);
  });

  test('a router token is of type router and may do nothing else', async () => {
    const router = await authentication.authenticate(await bootstrap.routerToken('router', null));
    expect(router).toMatchObject({ kind: 'router', grants: [], platformActions: [] });
  });
});

describe('Identity: tokens', () => {
  test('unknown, malformed, expired and revoked tokens prove nobody', async () => {
    const team = await makeTeam('tokens');
    const soon = value(await identity.createToken(by(team.principal), { principalId: team.principalId, name: 'soon', scope: null, expiresAt: clock.at + HOUR }));
    expect(await authentication.authenticate(soon.token!)).not.toBeNull();
    clock.at += HOUR;
    expect(await authentication.authenticate(soon.token!)).toBeNull();
    expect(await authentication.authenticate(`${soon.token!.slice(0, -1)}0`)).toBeNull();
    expect(await authentication.authenticate('Bearer nonsense')).toBeNull();
    value(await identity.revokeToken(by(admin), { tokenId: team.tokenId }));
    expect(await authentication.authenticate(team.token)).toBeNull();
  });

  test('a revoked or expired token leaves the route table at once', async () => {
    const team = await makeTeam('routed');
    const credentials = new CredentialsService(store, null);
    const inTable = () =>
      db.database.read({ kind: 'reconciler', loop: 'test' }, async (tx) => {
        const { credentials: all } = await credentials.forRouteTable(tx, clock.at, null);
        return all.some((credential) => credential.principalId === team.principalId);
      });
    expect(await inTable()).toBe(true);
    value(await identity.revokeToken(by(team.principal), { tokenId: team.tokenId }));
    expect(await inTable()).toBe(false);
  });

  test('the text is shown once: a repeat under the same key names the token without it', async () => {
    const team = await makeTeam('once');
    const input = { principalId: team.principalId, name: 'again', scope: null, expiresAt: null };
    const first = value(await identity.createToken(by(team.principal, 'key-1'), input));
    const second = value(await identity.createToken(by(team.principal, 'key-1'), input));
    expect(first.token).toMatch(/^purser_service_/);
    expect(second).toEqual({ tokenId: first.tokenId, token: null });
  });

  test('a scope wider than the principal is refused, a narrower one narrows', async () => {
    const team = await makeTeam('scoped');
    const other = await makeTeam('foreign');
    const wide = [{ role: 'viewer' as const, teamId: other.teamId, projectId: null }];
    const refused = await identity.createToken(by(team.principal), { principalId: team.principalId, name: 'wide', scope: wide, expiresAt: null });
    expect(refused).toMatchObject({ ok: false, error: { code: 'INVALID_INPUT', path: ['input', 'scope'] } });
    const scope = [{ role: 'viewer' as const, teamId: team.teamId, projectId: null }];
    const made = value(await identity.createToken(by(team.principal), { principalId: team.principalId, name: 'narrow', scope, expiresAt: null }));
    expect((await authentication.authenticate(made.token!))?.grants).toEqual(scope);
  });
});

describe('Identity: one team cannot reach another', () => {
  test('foreign and absent are the same answer for every write', async () => {
    const team = await makeTeam('north');
    const other = await makeTeam('south');
    const absent = '00000000-0000-7000-8000-00000000dead';
    const attempts = (teamId: string, principalId: string, tokenId: string) => [
      identity.createProject(by(team.principal), { team: { id: teamId }, name: 'p' }),
      identity.createPrincipal(by(team.principal), { team: { id: teamId }, name: 'p', oidc: null, grants: [] }),
      identity.createToken(by(team.principal), { principalId, name: 't', scope: null, expiresAt: null }),
      identity.revokeToken(by(team.principal), { tokenId }),
      identity.setQuota(by(team.principal), { team: { id: teamId }, project: null, resource: 'replicas', maximum: 1n }),
    ];
    const foreign = await Promise.all(attempts(other.teamId, other.principalId, other.tokenId));
    const random = await Promise.all(attempts(absent, absent, absent));
    expect(JSON.stringify(foreign)).toBe(JSON.stringify(random));
    expect(foreign.every((outcome) => !outcome.ok && outcome.error.code === 'NOT_FOUND')).toBe(true);
  });

  test('a team administrator grants no platform role and nothing of another team', async () => {
    const team = await makeTeam('east');
    const other = await makeTeam('west');
    for (const grant of [
      { role: 'platform_admin' as const, teamId: null, projectId: null },
      { role: 'viewer' as const, teamId: other.teamId, projectId: null },
    ]) {
      const outcome = await identity.createPrincipal(by(team.principal), { team: { id: team.teamId }, name: 'mole', oidc: null, grants: [grant] });
      expect(outcome).toMatchObject({ ok: false, error: { code: 'INVALID_INPUT' } });
    }
  });

  test('a stale expectedVersion is a conflict that names the current one', async () => {
    const team = await makeTeam('versions');
    const { projectId } = value(await identity.createProject(by(team.principal), { team: { id: team.teamId }, name: 'p' }));
    const update = (expectedVersion: number) => identity.updateProject(by(team.principal), { project: { id: projectId }, expectedVersion, maxReplicas: 3 });
    value(await update(1));
    expect(await update(1)).toMatchObject({ ok: false, error: { code: 'CONFLICT', message: 'The project is at version 2 now: read it again.' } });
  });
});

describe('Identity: OIDC bearer tokens from a real issuer', () => {
  let http: Server;
  let issuer: string;

  beforeAll(async () => {
    http = createServer();
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    issuer = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    http.on('request', makeProvider(issuer).callback());
    wire(new JoseOidcVerifier({ issuer, audience: 'purser' }));
  });
  afterAll(() => new Promise((resolve) => http.close(resolve)));

  /** An access token as a JWT, by the client credentials grant. */
  async function signIn(resource: string): Promise<string> {
    const body = new URLSearchParams({ grant_type: 'client_credentials', resource });
    const headers = { authorization: `Basic ${Buffer.from('robot:robot-secret').toString('base64')}` };
    const response = await fetch(`${issuer}/token`, { method: 'POST', headers, body });
    return ((await response.json()) as { access_token: string }).access_token;
  }

  test('a known person is let in, by name and grants', async () => {
    const { teamId } = value(await identity.createTeam(by(admin), { name: 'oidc' }));
    const grants = [{ role: 'viewer' as const, teamId, projectId: null }];
    const token = await signIn('urn:purser');
    expect(await authentication.authenticate(token)).toBeNull();
    value(await identity.createPrincipal(by(admin), { team: { id: teamId }, name: 'robot', oidc: { issuer, subject: 'robot' }, grants }));
    expect(await authentication.authenticate(token)).toMatchObject({ kind: 'person', name: 'robot', grants });
  });

  test('a token for another audience, or with a changed signature, proves nobody', async () => {
    expect(await authentication.authenticate(await signIn('urn:other'))).toBeNull();
    const token = await signIn('urn:purser');
    const [head, body, signature = ''] = token.split('.');
    expect(await authentication.authenticate(`${head}.${body}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`)).toBeNull();
  });
});

function makeProvider(issuer: string): Provider {
  return new Provider(issuer, {
    clients: [{ client_id: 'robot', client_secret: 'robot-secret', grant_types: ['client_credentials'], redirect_uris: [], response_types: [] }],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, resource) => ({ scope: '', audience: resource === 'urn:purser' ? 'purser' : 'other', accessTokenFormat: 'jwt' }),
      },
    },
    extraTokenClaims: () => ({ sub: 'robot' }),
  });
}
