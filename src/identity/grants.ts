import { failure, type Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import type { Grant, Principal } from '../kernel/principal.ts';
import { mayDo, roleContains } from './authorize.ts';

/** True if whoever has `grant` may hand on `wanted`: every action of the role, in the same or a smaller place. */
export function covers(grant: Grant, wanted: Grant): boolean {
  const place =
    grant.teamId === null ||
    (grant.teamId === wanted.teamId && (grant.projectId === null || grant.projectId === wanted.projectId));
  return place && roleContains(grant.role, wanted.role);
}

export const coversAll = (grants: readonly Grant[], wanted: readonly Grant[]): boolean =>
  wanted.every((one) => grants.some((grant) => covers(grant, one)));

/**
 * Null if `by` may give `grant` to a principal of `ownerTeamId` (null = the platform). What a team owns stays in the team: its
 * administrators may mint tokens of its principals, and could reach through a foreign grant that they cannot even see.
 */
export function checkGrant(by: Principal, ownerTeamId: Id | null, grant: Grant, path: readonly string[]): Failure | null {
  if (!coversAll(by.grants, [grant])) return failure('INVALID_INPUT', 'You may not grant more than you have yourself.', { path });
  if (grant.role === 'platform_admin' && grant.teamId !== null) {
    return failure('INVALID_INPUT', 'PLATFORM_ADMIN is of the platform: leave team and project out.', { path });
  }
  if (ownerTeamId !== null && grant.teamId !== ownerTeamId) {
    return failure('INVALID_INPUT', 'A principal of a team holds roles in that team only.', {
      path,
      hint: 'Make a principal of the platform for roles in several teams.',
    });
  }
  return null;
}

/** Who a principal is to those who administer it. */
export interface Administered {
  readonly teamId: Id | null;
  readonly grants: readonly Grant[];
  readonly platformActions: readonly string[];
}

/** Principals of the platform are administered by the platform, a team's by its administrators, and none by somebody with less than it has. */
export const administers = (by: Principal, owner: Administered): boolean =>
  mayDo(by, 'token.write', { teamId: owner.teamId, projectId: null }) &&
  coversAll(by.grants, owner.grants) &&
  owner.platformActions.every((action) => by.platformActions.includes(action));
