import { Field, ID, InputType, Int } from 'type-graphql';
import type { Instant } from '../kernel/instant.ts';
import type { Role } from '../kernel/principal.ts';
import { oneOf } from '../graphql/one-of.ts';
import { DateTime, Decimal } from '../graphql/scalars.ts';
import { QuotaResourceName, RoleName } from './identity.type.ts';
import type { QuotaResource } from './quotas.ts';

@InputType(oneOf('TeamBy'), { description: 'Names one team.' })
export class TeamBy {
  @Field(() => ID, { nullable: true, description: 'Global id.' })
  id?: string | null;

  @Field(() => String, { nullable: true, description: 'Name.' })
  path?: string | null;
}

@InputType(oneOf('ProjectBy'), { description: 'Names one project.' })
export class ProjectBy {
  @Field(() => ID, { nullable: true, description: 'Global id.' })
  id?: string | null;

  @Field(() => String, { nullable: true, description: '`team/project`.' })
  path?: string | null;
}

@InputType('CreateTeamInput', { description: 'A new team.' })
export class CreateTeamInput {
  @Field(() => String, { description: 'A DNS label: a-z, 0-9 and "-".' })
  name!: string;
}

@InputType('CreateProjectInput', { description: 'A new project.' })
export class CreateProjectInput {
  @Field(() => TeamBy, { description: 'The team.' })
  team!: TeamBy;

  @Field(() => String, { description: 'A DNS label, unique in the team.' })
  name!: string;

  @Field(() => Int, { nullable: true, description: 'Replicas per deployment unless it says; default 10.' })
  maxReplicas?: number | null;

  @Field(() => Decimal, { nullable: true, description: 'USD per hour and deployment unless it says; default 5.' })
  maxSpendPerHour?: string | null;
}

@InputType('UpdateProjectInput', { description: 'New defaults of a project; what is left out stays.' })
export class UpdateProjectInput {
  @Field(() => ProjectBy, { description: 'The project.' })
  project!: ProjectBy;

  @Field(() => Int, { nullable: true, description: 'Replicas per deployment unless it says.' })
  maxReplicas?: number | null;

  @Field(() => Decimal, { nullable: true, description: 'USD per hour and deployment unless it says.' })
  maxSpendPerHour?: string | null;
}

@InputType('GrantInput', { description: 'A role on the platform (neither given), a team or a project.' })
export class GrantInput {
  @Field(() => RoleName, { description: 'The role.' })
  role!: Role;

  @Field(() => TeamBy, { nullable: true, description: 'The team.' })
  team?: TeamBy | null;

  @Field(() => ProjectBy, { nullable: true, description: 'One project of it.' })
  project?: ProjectBy | null;
}

@InputType('OidcSubjectInput', { description: 'Who a person is to the configured issuer.' })
export class OidcSubjectInput {
  @Field(() => String, { description: "The issuer, as in the token's `iss`." })
  issuer!: string;

  @Field(() => String, { description: "The subject, as in the token's `sub`." })
  subject!: string;
}

@InputType('CreatePrincipalInput', { description: 'A service account, or a person who signs in by OIDC.' })
export class CreatePrincipalInput {
  @Field(() => TeamBy, { nullable: true, description: 'The team; left out for the platform.' })
  team?: TeamBy | null;

  @Field(() => String, { description: 'A DNS label.' })
  name!: string;

  @Field(() => OidcSubjectInput, { nullable: true, description: 'Makes it a person.' })
  oidc?: OidcSubjectInput | null;

  @Field(() => [GrantInput], { description: 'What it may do; never more than you may.' })
  grants!: GrantInput[];
}

@InputType('ChangeRoleInput', { description: 'A role to give or to take.' })
export class ChangeRoleInput {
  @Field(() => ID, { description: 'The principal.' })
  principal!: string;

  @Field(() => GrantInput, { description: 'The role and its place; never more than you may.' })
  grant!: GrantInput;
}

@InputType('CreateTokenInput', { description: 'A new token of a principal.' })
export class CreateTokenInput {
  @Field(() => ID, { description: 'The principal.' })
  principal!: string;

  @Field(() => String, { description: 'A DNS label.' })
  name!: string;

  @Field(() => [GrantInput], {
    nullable: true,
    description: 'Narrows what the token may do; left out = all that the principal may.',
  })
  scope?: GrantInput[] | null;

  @Field(() => DateTime, { nullable: true, description: 'When it stops working; left out = never.' })
  expiresAt?: Instant | null;
}

@InputType('RevokeTokenInput', { description: 'A token to revoke.' })
export class RevokeTokenInput {
  @Field(() => ID, { description: 'The token.' })
  token!: string;
}

@InputType('SetQuotaInput', { description: 'A limit of a team or of one project.' })
export class SetQuotaInput {
  @Field(() => TeamBy, { description: 'The team.' })
  team!: TeamBy;

  @Field(() => ProjectBy, { nullable: true, description: 'Only this project.' })
  project?: ProjectBy | null;

  @Field(() => QuotaResourceName, { description: 'What it limits.' })
  resource!: QuotaResource;

  @Field(() => Decimal, { description: 'A count, bytes, or USD per hour.' })
  maximum!: string;
}
