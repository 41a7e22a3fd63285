import type { Cause, EventDraft, Json } from '../kernel/event.ts';
import type { Id } from '../kernel/id.ts';
import type { Grant } from '../kernel/principal.ts';
import type { PrincipalRecord, TokenRecord } from './identity-store.port.ts';
import type { Quota } from './quotas.ts';
import { projectPath, type Project, type Team } from './team.ts';

const base = ({ at, principal }: Cause) => ({ at, principal, deploymentId: null, severity: 'info' as const });

export const teamCreated = (team: Team, cause: Cause): EventDraft => ({
  ...base(cause),
  type: 'team.created',
  subjectKind: 'Team',
  subjectId: team.id,
  subjectVersion: team.version,
  teamId: team.id,
  projectId: null,
  message: `Team ${team.name} was created.`,
  before: null,
  after: { name: team.name },
});

const projectJson = (project: Project): Json => ({
  path: projectPath(project),
  maxReplicas: project.maxReplicas,
  maxSpendPerHour: String(project.maxSpendPerHour),
});

/** `before` null = it was created. */
export const projectChanged = (before: Project | null, after: Project, cause: Cause): EventDraft => ({
  ...base(cause),
  type: before ? 'project.updated' : 'project.created',
  subjectKind: 'Project',
  subjectId: after.id,
  subjectVersion: after.version,
  teamId: after.teamId,
  projectId: after.id,
  message: `Project ${projectPath(after)} was ${before ? 'updated' : 'created'}.`,
  before: before && projectJson(before),
  after: projectJson(after),
});

export const principalCreated = (principal: Omit<PrincipalRecord, 'grants'>, cause: Cause): EventDraft => ({
  ...base(cause),
  type: 'principal.created',
  subjectKind: 'Principal',
  subjectId: principal.id,
  subjectVersion: 1,
  teamId: principal.teamId,
  projectId: null,
  message: `Principal ${principal.name} was created.`,
  before: null,
  after: { name: principal.name, kind: principal.kind },
});

/** A grant's story has two events at most: given again, it is another grant. */
export const roleChanged = (
  change: 'granted' | 'revoked',
  owner: PrincipalRecord,
  grant: Grant & { readonly id: Id },
  cause: Cause,
): EventDraft => {
  const json: Json = { principal: owner.id, role: grant.role, teamId: grant.teamId, projectId: grant.projectId };
  return {
    ...base(cause),
    type: `role.${change}`,
    subjectKind: 'Grant',
    subjectId: grant.id,
    subjectVersion: change === 'granted' ? 1 : 2,
    teamId: owner.teamId,
    projectId: grant.projectId,
    message: `Role ${grant.role} was ${change} ${change === 'granted' ? 'to' : 'from'} ${owner.name}.`,
    before: change === 'granted' ? null : json,
    after: change === 'granted' ? json : null,
  };
};

/** Says what a token may do, never what it is. */
const tokenJson = (token: TokenRecord): Json => ({
  name: token.name,
  type: token.type,
  hint: token.hint,
  expiresAt: token.expiresAt,
  revokedAt: token.revokedAt,
});

/** `before` null = it was created; otherwise it was revoked. */
export const tokenChanged = (before: TokenRecord | null, after: TokenRecord, cause: Cause): EventDraft => ({
  ...base(cause),
  type: before ? 'token.revoked' : 'token.created',
  subjectKind: 'Token',
  subjectId: after.id,
  subjectVersion: before ? 2 : 1,
  teamId: after.teamId,
  projectId: null,
  message: `Token ${after.name} (…${after.hint}) was ${before ? 'revoked' : 'created'}.`,
  before: before && tokenJson(before),
  after: tokenJson(after),
});

export const quotaChanged = (before: Quota | null, after: Quota, cause: Cause): EventDraft => ({
  ...base(cause),
  type: 'quota.changed',
  subjectKind: 'Quota',
  subjectId: after.id,
  subjectVersion: after.version,
  teamId: after.teamId,
  projectId: after.projectId,
  message: `The quota of ${after.resource} is now ${after.maximum}.`,
  before: before && { maximum: String(before.maximum) },
  after: { resource: after.resource, maximum: String(after.maximum) },
});
