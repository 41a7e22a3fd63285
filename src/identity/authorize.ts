import type { Id } from '../kernel/id.ts';
import type { Grant, Principal, Role } from '../kernel/principal.ts';

/** Everything that can be done, with the roles that may do it. What is not listed is denied. */
const ACTIONS = {
  'team.read': ['platform_admin', 'team_admin', 'operator', 'viewer', 'invoker'],
  'team.create': ['platform_admin'],
  'project.read': ['platform_admin', 'team_admin', 'operator', 'viewer', 'invoker'],
  'project.create': ['platform_admin', 'team_admin'],
  'principal.read': ['platform_admin', 'team_admin'],
  'principal.write': ['platform_admin', 'team_admin'],
  'token.read': ['platform_admin', 'team_admin'],
  'token.write': ['platform_admin', 'team_admin'],
  'quota.read': ['platform_admin', 'team_admin', 'operator', 'viewer'],
  'quota.write': ['platform_admin'],
  'model.read': ['platform_admin', 'team_admin', 'operator', 'viewer'],
  'model.write': ['platform_admin', 'team_admin', 'operator'],
  'artifact.read': ['platform_admin', 'team_admin', 'operator'],
  'artifact.write': ['platform_admin', 'team_admin', 'operator'],
  'deployment.read': ['platform_admin', 'team_admin', 'operator', 'viewer'],
  'deployment.write': ['platform_admin', 'team_admin', 'operator'],
  'deployment.logs': ['platform_admin', 'team_admin', 'operator'],
  'deployment.invoke': ['platform_admin', 'team_admin', 'operator', 'invoker'],
  'cost.read': ['platform_admin', 'team_admin', 'operator', 'viewer'],
  'decision.read': ['platform_admin', 'team_admin', 'operator', 'viewer'],
  'event.read': ['platform_admin', 'team_admin', 'operator', 'viewer'],
  'cluster.read': ['platform_admin', 'team_admin', 'operator', 'viewer'],
  'cluster.write': ['platform_admin'],
  /** Takes over objects of a cluster that somebody else made. */
  'runtime.adopt': ['platform_admin'],
  'cloud.read': ['platform_admin'],
  'cloud.bill': ['platform_admin'],
  'price.read': ['platform_admin', 'team_admin', 'operator', 'viewer'],
  'price.write': ['platform_admin'],
  /** Runs commands of the caller's choice on a node: never by role, only by name (`Principal.platformActions`). */
  'runtime.process': [],
} as const satisfies Record<string, readonly Role[]>;

export type Action = keyof typeof ACTIONS;

export const ALL_ACTIONS = Object.keys(ACTIONS) as Action[];

/** What the action touches; both null for the platform itself. */
export interface Target {
  readonly teamId: Id | null;
  readonly projectId: Id | null;
}

export const PLATFORM: Target = { teamId: null, projectId: null };

/** Deny by default: true only if a grant that covers the target has a role that the table lists, or the action is granted by name. */
export function mayDo(principal: Principal, action: Action, target: Target): boolean {
  if (principal.platformActions.includes(action)) return true;
  return principal.grants.some((grant) => allows(grant, action, target));
}

function allows(grant: Grant, action: Action, target: Target): boolean {
  const roles: readonly Role[] = ACTIONS[action];
  if (!roles.includes(grant.role)) return false;
  return (
    grant.teamId === null ||
    (grant.teamId === target.teamId && (grant.projectId === null || grant.projectId === target.projectId))
  );
}

/** Where something may be done: everywhere, or in these teams and these projects. */
export interface Places {
  readonly all: boolean;
  readonly teamIds: readonly Id[];
  readonly projectIds: readonly Id[];
}

/** The places where these grants allow the action. */
export function placesOf(grants: readonly Grant[], action: Action): Places {
  const allowing = grants.filter((grant) => allows(grant, action, grant));
  return {
    all: allowing.some((grant) => grant.teamId === null),
    teamIds: allowing.flatMap((grant) => (grant.teamId !== null && grant.projectId === null ? [grant.teamId] : [])),
    projectIds: allowing.flatMap((grant) => grant.projectId ?? []),
  };
}

/** Teams and projects whose rows may be listed. */
export type Visible = Pick<Places, 'teamIds' | 'projectIds'>;

/** Where the principal may do it, as a condition for lists; null = everywhere. */
export function visibleTo({ grants }: Principal, action: Action): Visible | null {
  const { all, teamIds, projectIds } = placesOf(grants, action);
  return all ? null : { teamIds, projectIds };
}

/** True if whoever has role `all` may do everything that role `some` may, by the table. */
export const roleContains = (all: Role, some: Role): boolean =>
  Object.values<readonly Role[]>(ACTIONS).every((roles) => !roles.includes(some) || roles.includes(all));

/** True if the principal may do it on at least one target: lists are open to them and show only what they may see. */
export const mayDoSomewhere = (principal: Principal, action: Action): boolean =>
  principal.grants.some((grant) => mayDo(principal, action, grant));
