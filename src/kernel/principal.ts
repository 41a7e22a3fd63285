import type { Id } from './id.ts';
import type { Scope } from './transaction.ts';

export type PrincipalKind = 'person' | 'service_account' | 'router' | 'workload';

/** What a role may do is said once, in `identity/authorize.ts`. */
export type Role = 'platform_admin' | 'team_admin' | 'operator' | 'viewer' | 'invoker';

/** A role on the platform (both ids null), on a team (project null) or on one project. */
export interface Grant {
  readonly role: Role;
  readonly teamId: Id | null;
  readonly projectId: Id | null;
}

/** Somebody who has proved who they are; grants are already narrowed by the token's own scope. */
export interface Principal {
  readonly id: Id;
  readonly kind: PrincipalKind;
  readonly name: string;
  readonly grants: readonly Grant[];
  /** Extra platform actions granted by name, for example `runtime.process`. */
  readonly platformActions: readonly string[];
  readonly tokenId: Id | null;
}

/** The rows that the database lets this principal touch. */
export function scopeOf(principal: Principal): Scope {
  if (principal.grants.some((grant) => grant.teamId === null)) return { kind: 'platform' };
  return { kind: 'tenant', teamIds: [...new Set(principal.grants.flatMap((grant) => grant.teamId ?? []))] };
}
