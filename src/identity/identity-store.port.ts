import type { Cause } from '../kernel/event.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Grant, PrincipalKind } from '../kernel/principal.ts';
import type { TokenType } from '../kernel/token.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Places } from './authorize.ts';
import type { Quota, QuotaResource } from './quotas.ts';
import type { Project, Team } from './team.ts';

/** A principal as stored: what it may do is its grants. */
export interface PrincipalRecord {
  readonly id: Id;
  readonly kind: PrincipalKind;
  readonly name: string;
  readonly teamId: Id | null;
  readonly issuer: string | null;
  readonly subject: string | null;
  readonly platformActions: readonly string[];
  readonly createdAt: Instant;
  readonly disabledAt: Instant | null;
  readonly grants: readonly Grant[];
}

/** A token as stored: never its text. */
export interface TokenRecord {
  readonly id: Id;
  readonly principalId: Id;
  readonly teamId: Id | null;
  readonly type: TokenType;
  readonly name: string;
  /** Lower-case hex SHA-256 of the whole token. */
  readonly hash: string;
  /** The last four characters, for people who look for a leaked one. */
  readonly hint: string;
  /** Narrows the principal's grants; null = all of them. */
  readonly scope: readonly Grant[] | null;
  readonly createdAt: Instant;
  readonly expiresAt: Instant | null;
  readonly revokedAt: Instant | null;
}

export interface ListWindow {
  /** Sort key of the last item seen; null = from the start. */
  readonly after: string | null;
  readonly limit: number;
}

/** Rows of identity. Every method runs in the given transaction; repeats of reads are harmless, of writes are not. */
export interface IdentityStore {
  findTeam(tx: Transaction, by: { id: Id } | { name: string }): Promise<Team | null>;
  findProject(tx: Transaction, by: { id: Id } | { teamName: string; name: string }): Promise<Project | null>;
  /** In no order; absent ones are left out. */
  projectsById(tx: Transaction, ids: readonly Id[]): Promise<readonly Project[]>;
  /** One more than the limit, ordered by name. */
  listTeams(tx: Transaction, window: ListWindow): Promise<readonly Team[]>;
  /** Those of one team that lie in the given places. */
  listProjects(tx: Transaction, teamId: Id, places: Places, window: ListWindow): Promise<readonly Project[]>;
  insertTeam(tx: Transaction, team: Team): Promise<void>;
  /** Writes its history, too, like every method that takes a cause. */
  insertProject(tx: Transaction, project: Project, cause: Cause): Promise<void>;
  /** False if the version is no longer `expected`. */
  updateProject(tx: Transaction, project: Project, change: Cause & { readonly expected: number }): Promise<boolean>;

  findPrincipal(tx: Transaction, id: Id): Promise<PrincipalRecord | null>;
  findPerson(tx: Transaction, issuer: string, subject: string): Promise<PrincipalRecord | null>;
  /** The oldest principal of a kind with that name and no team: how first start finds what it made before. */
  findPlatformPrincipal(tx: Transaction, kind: PrincipalKind, name: string): Promise<PrincipalRecord | null>;
  /** `teamIds` null = all, also those of the platform. */
  listPrincipals(tx: Transaction, teamIds: readonly Id[] | null, window: ListWindow): Promise<readonly PrincipalRecord[]>;
  insertPrincipal(tx: Transaction, principal: Omit<PrincipalRecord, 'grants'>): Promise<void>;
  /** False if the principal has it already. */
  insertGrant(tx: Transaction, grant: Grant & { id: Id; principalId: Id; createdAt: Instant }): Promise<boolean>;
  /** The id of the row that went; null if there was none. */
  deleteGrant(tx: Transaction, principalId: Id, grant: Grant): Promise<Id | null>;

  findTokenByHash(tx: Transaction, hash: string): Promise<TokenRecord | null>;
  findToken(tx: Transaction, id: Id): Promise<TokenRecord | null>;
  listTokens(tx: Transaction, teamIds: readonly Id[] | null, window: ListWindow): Promise<readonly TokenRecord[]>;
  insertToken(tx: Transaction, token: TokenRecord): Promise<void>;
  /** False if it was revoked before. */
  revokeToken(tx: Transaction, id: Id, at: Instant): Promise<boolean>;
  /** Every token that is neither revoked nor expired: for the route table. */
  liveTokens(tx: Transaction, now: Instant): Promise<readonly TokenRecord[]>;
  /** Every principal that is not disabled: for the route table. */
  allPrincipals(tx: Transaction): Promise<readonly PrincipalRecord[]>;

  findQuotas(tx: Transaction, teamId: Id, projectId: Id | null, resource: QuotaResource): Promise<readonly Quota[]>;
  /** Of whole teams. */
  teamQuotas(tx: Transaction, teamIds: readonly Id[], resource: QuotaResource): Promise<readonly Quota[]>;
  listQuotas(tx: Transaction, teamId: Id): Promise<readonly Quota[]>;
  /** Makes or replaces the limit; the row as it is then, with the version that this change gave it. */
  saveQuota(tx: Transaction, quota: Quota, cause: Cause): Promise<Quota>;

  /** Held to the end of the transaction, so that instances that start at once make the first principals once. */
  lockFirstStart(tx: Transaction): Promise<void>;
}
