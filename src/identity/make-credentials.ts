import type { Grant } from '../kernel/principal.ts';
import type { Id } from '../kernel/id.ts';
import { placesOf, type Places } from './authorize.ts';
import type { PrincipalRecord, TokenRecord } from './identity-store.port.ts';

/** The shape of the route table's `RouteCredential`. */
export interface Credential {
  readonly tokenSha256: string;
  readonly principalId: Id;
  readonly callerTeamId: Id | null;
  readonly expiresAt: number | null;
  /** The shape of `RouteAccess`. */
  readonly access: Places;
}

export interface IssuerPerson {
  readonly subject: string;
  readonly principalId: Id;
  readonly callerTeamId: Id | null;
  /** The shape of `RouteAccess`. */
  readonly access: Places;
}

type Grants = (record: PrincipalRecord, token: TokenRecord | null) => readonly Grant[];

/** Tokens that may invoke something; `grantsOf` narrows a principal's grants by a token's scope. */
export function makeCredentials(
  tokens: readonly TokenRecord[],
  principals: readonly PrincipalRecord[],
  grantsOf: Grants,
): Credential[] {
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
function accessOf(grants: readonly Grant[]): Places | null {
  const access = placesOf(grants, 'deployment.invoke');
  return access.all || access.teamIds.length > 0 || access.projectIds.length > 0 ? access : null;
}
