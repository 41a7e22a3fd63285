// Real database, real services, a clock that the tests move.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthenticationService } from '../../src/identity/authentication.service.ts';
import { BootstrapService } from '../../src/identity/bootstrap.service.ts';
import { CredentialsService } from '../../src/identity/credentials.service.ts';
import { IdentityRepository } from '../../src/identity/identity.repository.ts';
import { IdentityService } from '../../src/identity/identity.service.ts';
import { QuotasService } from '../../src/identity/quotas.service.ts';
import { scopeOf, type Principal } from '../../src/kernel/principal.ts';
import type { Result } from '../../src/kernel/result.ts';
import { newToken } from '../../src/kernel/token.ts';
import { Commands } from '../../src/persistence/commands.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
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

beforeAll(async () => {
  db = await openTestDatabase();
  const deps = { database: db.database, store, clock, random: systemRandom };
  identity = new IdentityService({ ...deps, commands: new Commands(deps) });
  authentication = new AuthenticationService({ ...deps, oidc: null });
  bootstrap = new BootstrapService(deps);
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
  const { principalId } = value(
    await identity.createPrincipal(by(admin), { team: { id: teamId }, name: `${name}-admin`, oidc: null, grants }),
  );
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
    const { tokenId } = (await authentication.authenticate(second))!;
    value(await identity.revokeToken(by(admin), { tokenId: tokenId! }));
    expect(await bootstrap.adminToken(second)).not.toBe(second);
  });

  test('a token that somebody else keeps is accepted while it is good and of its kind', async () => {
    const text = newToken('admin', systemRandom);
    expect(await authentication.authenticate(text)).toBeNull();
    // Two control planes that start at once read the same file.
    expect(await Promise.all([bootstrap.acceptAdminToken(text), bootstrap.acceptAdminToken(text)])).toEqual([true, true]);
    const { id: owner, tokenId } = (await authentication.authenticate(text))!;
    expect(owner).toBe((await authentication.authenticate(await bootstrap.adminToken(null)))?.id);
    value(await identity.revokeToken(by(admin), { tokenId: tokenId! }));
    expect(await bootstrap.acceptAdminToken(text)).toBe(false);
    expect(await bootstrap.acceptAdminToken(newToken('router', systemRandom))).toBe(false);
    expect(await bootstrap.acceptAdminToken('secret')).toBe(false);
  });

  test('a token of another router is not accepted as this one', async () => {
    const text = newToken('router', systemRandom);
    expect(await bootstrap.acceptRouterToken('east', text)).toBe(true);
    expect(await bootstrap.acceptRouterToken('west', text)).toBe(false);
    expect(await authentication.authenticate(text)).toMatchObject({ kind: 'router', name: 'east' });
  });

  test('a router token is of type router and may do nothing else', async () => {
    const router = await authentication.authenticate(await bootstrap.routerToken('router', null));
    expect(router).toMatchObject({ kind: 'router', grants: [], platformActions: [] });
  });
});

describe('Identity: tokens', () => {
  test('unknown, malformed, expired and revoked tokens prove nobody', async () => {
    const team = await makeTeam('tokens');
    const soon = value(
      await identity.createToken(by(team.principal), {
        principalId: team.principalId,
        name: 'soon',
        scope: null,
        expiresAt: clock.at + HOUR,
      }),
    );
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
    const refused = await identity.createToken(by(team.principal), {
      principalId: team.principalId,
      name: 'wide',
      scope: wide,
      expiresAt: null,
    });
    expect(refused).toMatchObject({ ok: false, error: { code: 'INVALID_INPUT', path: ['input', 'scope'] } });
    const scope = [{ role: 'viewer' as const, teamId: team.teamId, projectId: null }];
    const made = value(
      await identity.createToken(by(team.principal), { principalId: team.principalId, name: 'narrow', scope, expiresAt: null }),
    );
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
      identity.setQuota(by(team.principal), { team: { id: teamId }, project: null, resource: 'replicas', maximum: '1' }),
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
      const outcome = await identity.createPrincipal(by(team.principal), {
        team: { id: team.teamId },
        name: 'mole',
        oidc: null,
        grants: [grant],
      });
      expect(outcome).toMatchObject({ ok: false, error: { code: 'INVALID_INPUT' } });
    }
  });

  test('a stale expectedVersion is a conflict that names the current one', async () => {
    const team = await makeTeam('versions');
    const { projectId } = value(await identity.createProject(by(team.principal), { team: { id: team.teamId }, name: 'p' }));
    const update = (expectedVersion: number) =>
      identity.updateProject(by(team.principal), { project: { id: projectId }, expectedVersion, maxReplicas: 3 });
    value(await update(1));
    expect(await update(1)).toMatchObject({
      ok: false,
      error: { code: 'CONFLICT', message: 'The project is at version 2 now: read it again.' },
    });
  });
});

describe('Identity: roles are given and taken', () => {
  const viewer = (teamId: string) => ({ role: 'viewer' as const, teamId, projectId: null });

  test('a role works from the next call on and stops with the next call, and both are told', async () => {
    const team = await makeTeam('roles');
    const { principalId } = value(
      await identity.createPrincipal(by(team.principal), { team: { id: team.teamId }, name: 'bot', oidc: null, grants: [] }),
    );
    const { token } = value(
      await identity.createToken(by(team.principal), { principalId, name: 'bot', scope: null, expiresAt: null }),
    );
    const grants = async () => (await authentication.authenticate(token!))?.grants;
    const change = { principalId, grant: viewer(team.teamId) };
    expect(await grants()).toEqual([]);
    value(await identity.grantRole(by(team.principal), change));
    expect(await grants()).toEqual([change.grant]);
    expect(await identity.grantRole(by(team.principal), change)).toMatchObject({ ok: false, error: { code: 'ALREADY_EXISTS' } });
    value(await identity.revokeRole(by(team.principal), change));
    expect(await grants()).toEqual([]);
    expect(await identity.revokeRole(by(team.principal), change)).toMatchObject({ ok: false, error: { code: 'NOT_FOUND' } });
    const told = await db.database.read({ kind: 'tenant', teamIds: [team.teamId] }, (tx) =>
      sqlOf(tx).query<{ type: string }>(
        `select type from (select type, team_id, seq as n from outbox union all select type, team_id, position from event) all_events where type like 'role.%' order by type`,
      ),
    );
    expect(told.map(({ type }) => type)).toEqual(['role.granted', 'role.revoked']);
  });

  test('what a team owns holds no role outside the team, even if the platform wants to give one', async () => {
    const team = await makeTeam('inside');
    const other = await makeTeam('outside');
    for (const grant of [viewer(other.teamId), { role: 'viewer' as const, teamId: null, projectId: null }]) {
      const expected = {
        ok: false,
        error: { code: 'INVALID_INPUT', message: 'A principal of a team holds roles in that team only.' },
      };
      expect(await identity.grantRole(by(admin), { principalId: team.principalId, grant })).toMatchObject(expected);
      expect(
        await identity.createPrincipal(by(admin), { team: { id: team.teamId }, name: 'x', oidc: null, grants: [grant] }),
      ).toMatchObject(expected);
    }
  });

  test('the last administrator cannot lock everybody out', async () => {
    const grant = { role: 'platform_admin' as const, teamId: null, projectId: null };
    expect(await identity.revokeRole(by(admin), { principalId: admin.id, grant })).toMatchObject({
      ok: false,
      error: { code: 'PRECONDITION_FAILED' },
    });
  });

  test('a narrowed token of an administrator mints nothing that has more than itself', async () => {
    const scope = [{ role: 'platform_admin' as const, teamId: null, projectId: null }];
    const narrow = value(
      await identity.createToken(by(admin), { principalId: admin.id, name: 'narrow', scope, expiresAt: null }),
    );
    const narrowed = (await authentication.authenticate(narrow.token!))!;
    expect(admin.platformActions).toEqual(['runtime.process']);
    expect(narrowed.platformActions).toEqual([]);
    const wide = await identity.createToken(by(narrowed), { principalId: admin.id, name: 'wide', scope: null, expiresAt: null });
    expect(wide).toMatchObject({ ok: false, error: { code: 'NOT_FOUND' } });
  });

  test('an administrator of one project lists nobody of the team', async () => {
    const team = await makeTeam('parts');
    const { projectId } = value(await identity.createProject(by(team.principal), { team: { id: team.teamId }, name: 'one' }));
    value(await identity.createProject(by(team.principal), { team: { id: team.teamId }, name: 'a-other' }));
    const part: Principal = { ...team.principal, grants: [{ role: 'team_admin', teamId: team.teamId, projectId }] };
    const window = { after: null, limit: 1 };
    await db.database.read(scopeOf(part), async (tx) => {
      expect(await identity.tokens(tx, part, window)).toEqual([]);
      expect(await identity.principals(tx, part, window)).toEqual([]);
      expect((await identity.projects(tx, part, team.teamId, window)).map((project) => project.name)).toEqual(['one']);
      expect((await identity.teams(tx, part, window)).map((seen) => seen.name)).toEqual(['parts']);
    });
  });
});

describe('Identity: quotas are set and asked', () => {
  test('the tighter of team and project holds; a limit that is no whole number is refused', async () => {
    const team = await makeTeam('limits');
    const { projectId } = value(await identity.createProject(by(team.principal), { team: { id: team.teamId }, name: 'p' }));
    const set = (resource: 'replicas' | 'spend_per_hour', maximum: string, project: { id: string } | null = null) =>
      identity.setQuota(by(admin), { team: { id: team.teamId }, project, resource, maximum });
    for (const bad of ['1.5', '-1', ''])
      expect(await set('replicas', bad)).toMatchObject({ ok: false, error: { code: 'INVALID_INPUT' } });
    value(await set('replicas', '10'));
    value(await set('replicas', '2', { id: projectId }));
    value(await set('replicas', '3', { id: projectId }));
    value(await set('spend_per_hour', '0.5'));
    const guarded = (expectedVersion: number) =>
      identity.setQuota(by(admin), {
        team: { id: team.teamId },
        project: null,
        resource: 'replicas',
        maximum: '10',
        expectedVersion,
      });
    expect(await guarded(0)).toMatchObject({
      ok: false,
      error: { code: 'CONFLICT', message: expect.stringContaining('version 1') as string },
    });
    expect((await Promise.all([guarded(1), guarded(1)])).filter(({ ok }) => ok)).toHaveLength(1);
    const check = (resource: 'replicas' | 'spend_per_hour', used: bigint, wanted: bigint) =>
      db.database.read({ kind: 'tenant', teamIds: [team.teamId] }, (tx) =>
        new QuotasService(store).check(tx, {
          teamId: team.teamId,
          projectId,
          resource,
          use: { team: used, project: used },
          wanted,
        }),
      );
    expect(await check('replicas', 2n, 1n)).toBeNull();
    expect(await check('replicas', 2n, 2n)).toMatchObject({ code: 'QUOTA_EXCEEDED' });
    expect(await check('spend_per_hour', 0n, 500_000_000_000n)).toBeNull();
    expect(await check('spend_per_hour', 1n, 500_000_000_000n)).toMatchObject({ code: 'QUOTA_EXCEEDED' });
  });
});

describe('Identity: several instances may start first at once', () => {
  test('they make one principal', async () => {
    const tokens = await Promise.all(Array.from({ length: 5 }, () => bootstrap.routerToken('at-once', null)));
    const routers = await Promise.all(tokens.map((token) => authentication.authenticate(token)));
    expect(new Set(routers.map((router) => router?.id)).size).toBe(1);
  });
});
