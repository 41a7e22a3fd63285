import { Field, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import type { Instant } from '../kernel/instant.ts';
import type { PrincipalKind, Role } from '../kernel/principal.ts';
import { connectionOf } from '../graphql/connection.type.ts';
import { upperCaseNames } from '../graphql/enum-names.ts';
import { toGlobalId } from '../graphql/global-id.ts';
import { MoneyType, toMoney } from '../graphql/money.type.ts';
import { NodeType } from '../graphql/node.type.ts';
import { PayloadType } from '../graphql/payload.type.ts';
import { DateTime, Decimal } from '../graphql/scalars.ts';
import type { PrincipalRecord, TokenRecord } from './identity-store.port.ts';
import { QUOTA_RESOURCES, type Quota, type QuotaResource } from './quotas.ts';
import { projectPath, type Project, type Team } from './team.ts';

export const RoleName = upperCaseNames<Role>(['platform_admin', 'team_admin', 'operator', 'viewer', 'invoker']);
registerEnumType(RoleName, {
  name: 'Role',
  description: 'What a grant lets somebody do.',
  valuesConfig: {
    PLATFORM_ADMIN: { description: 'Everything, for every team.' },
    TEAM_ADMIN: { description: 'Everything in a team, its members and tokens included.' },
    OPERATOR: { description: 'Registers, deploys and invokes.' },
    VIEWER: { description: 'Reads, costs included.' },
    INVOKER: { description: 'Sends requests to models.' },
  },
});

export const PrincipalKindName = upperCaseNames<PrincipalKind>(['person', 'service_account', 'router', 'workload']);
registerEnumType(PrincipalKindName, {
  name: 'PrincipalKind',
  description: 'What kind of caller it is.',
  valuesConfig: {
    PERSON: { description: 'A person.' },
    SERVICE_ACCOUNT: { description: 'A program.' },
    ROUTER: { description: 'A router of this installation.' },
    WORKLOAD: { description: 'A replica that fetches its artifact.' },
  },
});

export const QuotaResourceName = upperCaseNames<QuotaResource>(QUOTA_RESOURCES);
registerEnumType(QuotaResourceName, {
  name: 'QuotaResource',
  description: 'What a quota limits.',
  valuesConfig: {
    REPLICAS: { description: 'Replicas asked for, in all.' },
    ARTIFACT_BYTES: { description: 'Bytes of stored artifacts.' },
    SPEND_PER_HOUR: { description: 'Price per hour of all replicas, in USD.' },
  },
});

@ObjectType('Project', { implements: NodeType, description: 'Models, deployments and their limits.' })
export class ProjectType extends NodeType {
  teamId!: string;

  @Field(() => String, { description: 'Name, unique in the team.' })
  name!: string;

  @Field(() => String, { description: '`team/project`.' })
  path!: string;

  @Field(() => Int, { description: 'Replicas that a deployment may have when it does not say.' })
  maxReplicas!: number;

  @Field(() => MoneyType, { description: 'What a deployment may cost per hour when it does not say.' })
  maxSpendPerHour!: MoneyType;

  @Field(() => Int, { description: 'Rises with every change; pass it as `expectedVersion`.' })
  version!: number;

  @Field(() => DateTime, { description: 'When it was created.' })
  createdAt!: Instant;
}

export const toProjectType = (project: Project): ProjectType => ({
  id: toGlobalId('Project', project.id),
  teamId: project.teamId,
  name: project.name,
  path: projectPath(project),
  maxReplicas: project.maxReplicas,
  maxSpendPerHour: toMoney(project.maxSpendPerHour),
  version: project.version,
  createdAt: project.createdAt,
});

export const ProjectConnection = connectionOf('Project', () => ProjectType);

@ObjectType('Quota', { description: 'A limit of a team or of one project.' })
export class QuotaType {
  @Field(() => QuotaResourceName, { description: 'What it limits.' })
  resource!: QuotaResource;

  @Field(() => Decimal, { description: 'The most there may be: a count, bytes, or USD per hour.' })
  maximum!: string;

  @Field(() => ID, { nullable: true, description: 'The project that it limits; null = the whole team.' })
  projectId!: string | null;

  @Field(() => Int, { description: 'Rises with every change; pass it as `expectedVersion`.' })
  version!: number;
}

export const toQuotaType = (quota: Quota): QuotaType => ({
  resource: quota.resource,
  version: quota.version,
  maximum: quota.resource === 'spend_per_hour' ? toMoney(quota.maximum).amount : String(quota.maximum),
  projectId: quota.projectId === null ? null : toGlobalId('Project', quota.projectId),
});

@ObjectType('Team', { implements: NodeType, description: 'The tenant: nothing of one team is seen by another.' })
export class TeamType extends NodeType {
  teamId!: string;

  @Field(() => String, { description: 'Name, unique in the installation.' })
  name!: string;

  @Field(() => DateTime, { description: 'When it was created.' })
  createdAt!: Instant;
}

export const toTeamType = (team: Team): TeamType => ({
  id: toGlobalId('Team', team.id),
  teamId: team.id,
  name: team.name,
  createdAt: team.createdAt,
});

export const TeamConnection = connectionOf('Team', () => TeamType);

@ObjectType('Grant', { description: 'A role on the platform, on a team or on one project.' })
export class GrantType {
  @Field(() => RoleName, { description: 'The role.' })
  role!: Role;

  @Field(() => String, { description: '`platform`, or the global id of the team or project.' })
  scope!: string;
}

export const toGrantType = (grant: { role: Role; teamId: string | null; projectId: string | null }): GrantType => ({
  role: grant.role,
  scope: grant.projectId ? toGlobalId('Project', grant.projectId) : grant.teamId ? toGlobalId('Team', grant.teamId) : 'platform',
});

@ObjectType('Principal', { implements: NodeType, description: 'Somebody who can prove who they are.' })
export class PrincipalType extends NodeType {
  @Field(() => String, { description: 'Name.' })
  name!: string;

  @Field(() => PrincipalKindName, { description: 'What kind of caller it is.' })
  kind!: PrincipalKind;

  @Field(() => [GrantType], { description: 'What it may do; in `viewer`, as narrowed by the token.' })
  grants!: GrantType[];
}

export const toPrincipalType = (principal: Pick<PrincipalRecord, 'id' | 'name' | 'kind' | 'grants'>): PrincipalType => ({
  id: toGlobalId('Principal', principal.id),
  name: principal.name,
  kind: principal.kind,
  grants: principal.grants.map(toGrantType),
});

export const PrincipalConnection = connectionOf('Principal', () => PrincipalType);

@ObjectType('Token', { implements: NodeType, description: 'A credential; its text was shown once.' })
export class TokenType extends NodeType {
  @Field(() => String, { description: 'Name.' })
  name!: string;

  @Field(() => String, { description: 'The last four characters.' })
  hint!: string;

  @Field(() => ID, { description: 'The principal that it belongs to.' })
  principalId!: string;

  @Field(() => [GrantType], { nullable: true, description: 'What it is narrowed to; null = all that its principal may do.' })
  scope!: GrantType[] | null;

  @Field(() => DateTime, { description: 'When it was created.' })
  createdAt!: Instant;

  @Field(() => DateTime, { nullable: true, description: 'When it stops working; null = never.' })
  expiresAt!: Instant | null;

  @Field(() => DateTime, { nullable: true, description: 'When it was revoked.' })
  revokedAt!: Instant | null;
}

export const toTokenType = (token: TokenRecord): TokenType => ({
  id: toGlobalId('Token', token.id),
  name: token.name,
  hint: token.hint,
  principalId: toGlobalId('Principal', token.principalId),
  scope: token.scope && token.scope.map(toGrantType),
  createdAt: token.createdAt,
  expiresAt: token.expiresAt,
  revokedAt: token.revokedAt,
});

export const TokenConnection = connectionOf('Token', () => TokenType);

@ObjectType('Viewer', { description: 'Who is asking, and what they may do.' })
export class ViewerType {
  @Field(() => PrincipalType, { description: 'The principal that the token belongs to.' })
  principal!: PrincipalType;

  @Field(() => [GrantType], { description: 'Grants, as narrowed by the token.' })
  grants!: GrantType[];

  @Field(() => [String], { description: 'Actions that it may do somewhere.' })
  actions!: readonly string[];
}

@ObjectType('TeamPayload', { description: 'The team, or why not.' })
export class TeamPayload extends PayloadType {
  @Field(() => TeamType, { nullable: true, description: 'The team; null when refused.' })
  team!: TeamType | null;
}

@ObjectType('ProjectPayload', { description: 'The project, or why not.' })
export class ProjectPayload extends PayloadType {
  @Field(() => ProjectType, { nullable: true, description: 'The project; null when refused.' })
  project!: ProjectType | null;
}

@ObjectType('PrincipalPayload', { description: 'The principal, or why not.' })
export class PrincipalPayload extends PayloadType {
  @Field(() => PrincipalType, { nullable: true, description: 'The principal; null when refused.' })
  principal!: PrincipalType | null;
}

@ObjectType('CreateTokenPayload', { description: 'The token, or why not.' })
export class CreateTokenPayload extends PayloadType {
  @Field(() => TokenType, { nullable: true, description: 'The token; null when refused.' })
  token!: TokenType | null;

  @Field(() => String, { nullable: true, description: 'Its text, shown this once; null in a repeat under the same key.' })
  secret!: string | null;
}

@ObjectType('TokenPayload', { description: 'The token, or why not.' })
export class TokenPayload extends PayloadType {
  @Field(() => TokenType, { nullable: true, description: 'The token; null when refused.' })
  token!: TokenType | null;
}
