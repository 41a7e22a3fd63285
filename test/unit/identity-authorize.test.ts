// The whole action table against every role, in and out of place; grants and tokens as tables.
import { describe, expect, test } from 'vitest';
import type { Grant, Principal, Role } from '../../src/kernel/principal.ts';
import { ALL_ACTIONS, PLATFORM, mayDo, type Action } from '../../src/identity/authorize.ts';
import { toPrincipal } from '../../src/identity/authentication.service.ts';
import { covers } from '../../src/identity/grants.ts';
import { checkQuotas } from '../../src/identity/quotas.ts';

const TEAM = '00000000-0000-7000-8000-000000000001';
const OTHER = '00000000-0000-7000-8000-000000000002';
const PROJECT = '00000000-0000-7000-8000-000000000003';
const principalWith = (...grants: Grant[]): Principal => ({
  id: 'p',
  kind: 'person',
  name: 'p',
  grants,
  platformActions: [],
  tokenId: null,
});
const inTeam = (role: Role): Grant => ({ role, teamId: TEAM, projectId: null });

const READS: Action[] = [
  'team.read',
  'project.read',
  'model.read',
  'deployment.read',
  'cost.read',
  'decision.read',
  'event.read',
  'cluster.read',
  'price.read',
  'quota.read',
];
const WRITES: Action[] = ['model.write', 'artifact.write', 'deployment.write'];

describe('Identity: one typed action table, deny by default', () => {
  test.each(ALL_ACTIONS)('nobody may %s without a grant', (action) => {
    expect(mayDo(principalWith(), action, { teamId: TEAM, projectId: PROJECT })).toBe(false);
  });

  test.each(ALL_ACTIONS)('no role of one team may %s in another', (action) => {
    for (const role of ['team_admin', 'operator', 'viewer', 'invoker'] as const) {
      expect(mayDo(principalWith(inTeam(role)), action, { teamId: OTHER, projectId: null })).toBe(false);
    }
  });

  test('a viewer reads and changes nothing', () => {
    const viewer = principalWith(inTeam('viewer'));
    for (const action of READS) expect(mayDo(viewer, action, { teamId: TEAM, projectId: PROJECT }), action).toBe(true);
    for (const action of ALL_ACTIONS.filter((name) => !READS.includes(name)))
      expect(mayDo(viewer, action, { teamId: TEAM, projectId: PROJECT }), action).toBe(false);
  });

  test('clusters are of the platform: who views a team sees none of them', () => {
    expect(mayDo(principalWith(inTeam('viewer')), 'cluster.read', PLATFORM)).toBe(false);
    expect(mayDo(principalWith({ role: 'viewer', teamId: null, projectId: null }), 'cluster.read', PLATFORM)).toBe(true);
  });

  test('an operator works but administers nobody', () => {
    const operator = principalWith(inTeam('operator'));
    for (const action of WRITES) expect(mayDo(operator, action, { teamId: TEAM, projectId: PROJECT }), action).toBe(true);
    for (const action of ['token.write', 'principal.write', 'quota.write', 'price.write', 'cluster.write'] as const) {
      expect(mayDo(operator, action, { teamId: TEAM, projectId: PROJECT }), action).toBe(false);
    }
  });

  test('no role runs commands on a node, not even an administrator; a grant by name does', () => {
    const admin = principalWith({ role: 'platform_admin', teamId: null, projectId: null });
    expect(mayDo(admin, 'runtime.process', { teamId: TEAM, projectId: PROJECT })).toBe(false);
    expect(
      mayDo({ ...admin, platformActions: ['runtime.process'] }, 'runtime.process', { teamId: TEAM, projectId: PROJECT }),
    ).toBe(true);
  });

  test('a grant on one project does not reach the team', () => {
    const principal = principalWith({ role: 'team_admin', teamId: TEAM, projectId: PROJECT });
    expect(mayDo(principal, 'model.read', { teamId: TEAM, projectId: PROJECT })).toBe(true);
    expect(mayDo(principal, 'token.write', { teamId: TEAM, projectId: null })).toBe(false);
  });
});

describe('Identity: nobody hands on more than they have', () => {
  test.each<[Grant, Grant, boolean]>([
    [inTeam('team_admin'), inTeam('operator'), true],
    [inTeam('team_admin'), { role: 'invoker', teamId: TEAM, projectId: PROJECT }, true],
    [inTeam('operator'), inTeam('team_admin'), false],
    [inTeam('viewer'), inTeam('invoker'), false],
    [inTeam('team_admin'), { role: 'viewer', teamId: OTHER, projectId: null }, false],
    [inTeam('team_admin'), { role: 'viewer', teamId: null, projectId: null }, false],
    [{ role: 'operator', teamId: TEAM, projectId: PROJECT }, inTeam('operator'), false],
    [{ role: 'platform_admin', teamId: null, projectId: null }, inTeam('team_admin'), true],
  ])('%o covers %o: %s', (own, wanted, may) => {
    expect(covers(own, wanted)).toBe(may);
  });

  test('a token narrows its principal and loses what the principal lost', () => {
    const record = {
      id: 'p',
      kind: 'service_account' as const,
      name: 'ci',
      teamId: TEAM,
      issuer: null,
      subject: null,
      platformActions: ['runtime.process'],
      createdAt: 0,
      disabledAt: null,
      grants: [inTeam('operator')],
    };
    const token = {
      id: 't',
      principalId: 'p',
      teamId: TEAM,
      type: 'service' as const,
      name: 'ci',
      hash: '',
      hint: '',
      scope: [inTeam('viewer'), inTeam('team_admin')],
      createdAt: 0,
      expiresAt: null,
      revokedAt: null,
    };
    expect(toPrincipal(record, token)).toMatchObject({ grants: [inTeam('viewer')], platformActions: [] });
    expect(toPrincipal({ ...record, grants: [] }, token).grants).toEqual([]);
    expect(toPrincipal(record, { ...token, scope: null })).toMatchObject({
      grants: record.grants,
      platformActions: ['runtime.process'],
    });
  });
});

describe('Identity: quotas per team and project', () => {
  const quota = (projectId: string | null, maximum: bigint) => ({
    id: 'q',
    teamId: TEAM,
    projectId,
    resource: 'replicas' as const,
    maximum,
    version: 1,
  });

  test.each([
    [[], 100n, null],
    [[quota(null, 5n)], 2n, null],
    [[quota(null, 5n)], 3n, "The team's quota of replicas is 5; 3 are used and 3 more are asked for."],
    [[quota(null, 50n), quota(PROJECT, 2n)], 2n, "The project's quota of replicas is 2; 1 are used and 2 more are asked for."],
  ])('%o with %s more: %s', (quotas, wanted, message) => {
    expect(checkQuotas(quotas, { team: 3n, project: 1n }, wanted)?.message ?? null).toBe(message);
  });
});
