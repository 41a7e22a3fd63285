// Rows of tokens and people in, what a router may let through out; one table per rule.
import { describe, expect, test } from 'vitest';
import { toPrincipal } from '../../src/identity/authentication.service.ts';
import type { PrincipalRecord, TokenRecord } from '../../src/identity/identity-store.port.ts';
import { makeCredentials, makeIssuerPeople } from '../../src/identity/make-credentials.ts';
import { parseMaximum, type QuotaResource } from '../../src/identity/quotas.ts';
import type { Grant } from '../../src/kernel/principal.ts';
import type { RouteCredential, RouteIssuer } from '../../src/traffic/router-contract/route-table.ts';

const TEAM = 'team-1';
const PROJECT = 'project-1';
const grantsOf = (record: PrincipalRecord, token: TokenRecord | null) => toPrincipal(record, token).grants;

const person = (...grants: Grant[]): PrincipalRecord => ({
  id: 'p',
  kind: 'person',
  name: 'p',
  teamId: TEAM,
  issuer: 'https://issuer.example',
  subject: 'alice',
  platformActions: [],
  createdAt: 0,
  disabledAt: null,
  grants,
});

const token = (scope: readonly Grant[] | null = null): TokenRecord => ({
  id: 't',
  principalId: 'p',
  teamId: TEAM,
  type: 'user',
  name: 't',
  hash: 'ab12',
  hint: '',
  scope,
  createdAt: 0,
  expiresAt: 5_000,
  revokedAt: null,
});

const inTeam = (role: Grant['role']): Grant => ({ role, teamId: TEAM, projectId: null });
const inProject = (role: Grant['role']): Grant => ({ role, teamId: TEAM, projectId: PROJECT });
const everywhere = (role: Grant['role']): Grant => ({ role, teamId: null, projectId: null });

describe('Identity: what a router is told of tokens', () => {
  test.each<[string, Grant[], Grant[] | null, RouteCredential['access'] | null]>([
    ['a viewer invokes nothing', [inTeam('viewer')], null, null],
    ['an invoker of a team', [inTeam('invoker')], null, { all: false, teamIds: [TEAM], projectIds: [] }],
    ['an operator of one project', [inProject('operator')], null, { all: false, teamIds: [], projectIds: [PROJECT] }],
    ['an administrator of the platform', [everywhere('platform_admin')], null, { all: true, teamIds: [], projectIds: [] }],
    [
      'a viewer of all who invokes in one project',
      [everywhere('viewer'), inProject('invoker')],
      null,
      { all: false, teamIds: [], projectIds: [PROJECT] },
    ],
    [
      'an administrator by a token for one project',
      [inTeam('team_admin')],
      [inProject('invoker')],
      { all: false, teamIds: [], projectIds: [PROJECT] },
    ],
    ['a token that is wider than its principal is now', [inProject('invoker')], [inTeam('invoker')], null],
    ['a token for reading', [inTeam('team_admin')], [inTeam('viewer')], null],
    ['a token for nothing', [inTeam('team_admin')], [], null],
  ])('%s', (_name, grants, scope, access) => {
    const expected: RouteCredential[] = access
      ? [{ tokenSha256: 'ab12', principalId: 'p', callerTeamId: TEAM, expiresAt: 5_000, access }]
      : [];
    expect(makeCredentials([token(scope)], [person(...grants)], grantsOf)).toEqual(expected);
  });

  test('a token whose principal is gone or disabled is not among them', () => {
    expect(makeCredentials([token()], [], grantsOf)).toEqual([]);
  });
});

describe('Identity: what a router is told of people', () => {
  test('those of that issuer who may invoke something', () => {
    const expected: RouteIssuer['people'] = [
      { subject: 'alice', principalId: 'p', callerTeamId: TEAM, access: { all: false, teamIds: [TEAM], projectIds: [] } },
    ];
    const known = person(inTeam('invoker'));
    expect(makeIssuerPeople('https://issuer.example', [known], grantsOf)).toEqual(expected);
    expect(makeIssuerPeople('https://other.example', [known], grantsOf)).toEqual([]);
    expect(makeIssuerPeople('https://issuer.example', [{ ...known, subject: null }, person(inTeam('viewer'))], grantsOf)).toEqual(
      [],
    );
  });
});

describe('Identity: a quota as people write it', () => {
  test.each<[QuotaResource, string, bigint | null]>([
    ['replicas', '0', 0n],
    ['replicas', '12', 12n],
    ['replicas', '1.5', null],
    ['replicas', '-1', null],
    ['artifact_bytes', '99999999999', 99_999_999_999n],
    ['spend_per_hour', '0.25', 250_000_000_000n],
    ['spend_per_hour', '-0.25', null],
    ['spend_per_hour', 'much', null],
  ])('%s of %s', (resource, text, maximum) => {
    expect(parseMaximum(resource, text)).toBe(maximum);
  });
});
