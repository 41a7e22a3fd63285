import type { Grant } from '../kernel/principal.ts';
import type { Id } from '../kernel/id.ts';
import { mayDo } from './authorize.ts';
import type { PrincipalRecord, TokenRecord } from './identity-store.port.ts';

/** What a caller may invoke: everything, or what lies in these teams and projects. The shape of the route table's `RouteAccess`. */
export interface Access {
  readonly all: boolean;
  readonly teamIds: readonly Id[];
  readonly projectIds: readonly Id[];
}

/** The shape of the route table's `RouteCredential`. */
export interface Credential {
  readonly tokenSha256: string;
  readonly principalId: Id;
  readonly callerTeamId: Id | null;
  readonly expiresAt: number | null;
  readonly access: Access;
}

export interface IssuerPerson {
  readonly subject: string;
  readonly principalId: Id;
  readonly callerTeamId: Id | null;
  readonly access: Access;
}

type Grants = (record: PrincipalRecord, token: TokenRecord | null) => readonly Grant[];

/** Tokens that may invoke something; `grantsOf` narrows a principal's grants by a token's scope. */
export function makeCredentials(tokens: readonly TokenRecord[], principals: readonly PrincipalRecord[], grantsOf: Grants): Credential[] {
  const byId = new Map(principals.map((principal) => [principal.id, principal]));
  return tokens.flatMap((token) => {
    const owner = byId.get(token.principalId);
    const access = owner ? accessOf(grantsOf(owner, token)) : null;
    if (!owner || !access) return [];
    return [{ tokenSha256: token.hash, principalId: owner.id, callerTeamId: owner.teamId, expiresAt: token.expiresAt, access }];
  });
}

/** People of one issuer that may invoke something. */
export function makeIssuerPeople(issuer: string, principals: readonly PrincipalRecord[], grantsOf: Grants): IssuerPerson[] {
  return principals.flatMap((person) => {
    const access = person.issuer === issuer && person.subject !== null ? accessOf(grantsOf(person, null)) : null;
    if (!access || person.subject === null) return [];
    return [{ subject: person.subject, principalId: person.id, callerTeamId: person.teamId, access }];
  });
}

/** Null if the grants invoke nothing. */
function accessOf(grants: readonly Grant[]): Access | null {
  const invoking = grants.filter((grant) => {
    const alone = { id: '', kind: 'person' as const, name: '', grants: [grant], platformActions: [], tokenId: null };
    return mayDo(alone, 'deployment.invoke', grant);
  });
  if (invoking.length === 0) return null;
  return {
    all: invoking.some((grant) => grant.teamId === null),
    teamIds: invoking.flatMap((grant) => (grant.teamId !== null && grant.projectId === null ? [grant.teamId] : [])),
    projectIds: invoking.flatMap((grant) => grant.projectId ?? []),
  };
}
