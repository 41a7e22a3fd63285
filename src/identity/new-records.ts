import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Grant } from '../kernel/principal.ts';
import { hashOfToken } from '../kernel/token.ts';
import type { PrincipalRecord, TokenRecord } from './identity-store.port.ts';
import { DEFAULT_MAX_REPLICAS, DEFAULT_MAX_SPEND_PER_HOUR, type Project, type Team } from './team.ts';

export interface NewPrincipal {
  readonly name: string;
  /** Issuer and subject make it a person who signs in by OIDC; without them it is a service account. */
  readonly oidc: { readonly issuer: string; readonly subject: string } | null;
  readonly grants: readonly Grant[];
}

export interface NewToken {
  readonly principalId: Id;
  readonly name: string;
  readonly scope: readonly Grant[] | null;
  readonly expiresAt: Instant | null;
}

/** What every new row is given. */
export interface Birth {
  readonly id: Id;
  readonly createdAt: Instant;
}

export function newProject(team: Team, name: string, birth: Birth): Project {
  const limits = { maxReplicas: DEFAULT_MAX_REPLICAS, maxSpendPerHour: DEFAULT_MAX_SPEND_PER_HOUR };
  return { ...birth, teamId: team.id, teamName: team.name, name, ...limits, version: 1 };
}

export function newPrincipal(input: NewPrincipal, teamId: Id | null, birth: Birth): Omit<PrincipalRecord, 'grants'> {
  return {
    ...birth,
    kind: input.oidc ? 'person' : 'service_account',
    name: input.name,
    teamId,
    issuer: input.oidc?.issuer ?? null,
    subject: input.oidc?.subject ?? null,
    platformActions: [],
    disabledAt: null,
  };
}

/** `text` is the token itself; only its hash and last four characters are kept. */
export function newTokenRecord(
  owner: PrincipalRecord,
  input: NewToken,
  { text, ...birth }: Birth & { readonly text: string },
): TokenRecord {
  return {
    ...birth,
    principalId: owner.id,
    teamId: owner.teamId,
    type: owner.kind === 'person' ? 'user' : 'service',
    name: input.name,
    hash: hashOfToken(text),
    hint: text.slice(-4),
    scope: input.scope,
    expiresAt: input.expiresAt,
    revokedAt: null,
  };
}
