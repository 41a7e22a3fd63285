import { Arg, Ctx, FieldResolver, Int, Mutation, Query, Resolver, Root } from 'type-graphql';
import { failure, notFound, type Failure } from '../kernel/failure.ts';
import { parseUsd } from '../kernel/money.ts';
import type { Grant } from '../kernel/principal.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import { DEFAULT_PAGE, decodeCursor, toConnection } from '../graphql/connection.type.ts';
import type { ApiContext } from '../graphql/context.ts';
import { idOfType, NOWHERE } from '../graphql/global-id.ts';
import { IDEMPOTENCY_KEY } from '../graphql/idempotency-key.ts';
import type { NodeSource } from '../graphql/node.type.ts';
import { idCursor, pageSize, toPage } from '../graphql/page.ts';
import { toUserErrors } from '../graphql/payload.type.ts';
import { ALL_ACTIONS, mayDoSomewhere } from './authorize.ts';
import {
  ChangeRoleInput,
  CreatePrincipalInput,
  CreateProjectInput,
  CreateTeamInput,
  CreateTokenInput,
  ProjectBy,
  RevokeTokenInput,
  SetQuotaInput,
  TeamBy,
  UpdateProjectInput,
  type GrantInput,
} from './identity.input.ts';
import type { Caller, IdentityService, ProjectRef, TeamRef } from './identity.service.ts';
import {
  CreateTokenPayload,
  PrincipalConnection,
  PrincipalPayload,
  ProjectConnection,
  ProjectPayload,
  ProjectType,
  QuotaType,
  TeamConnection,
  TeamPayload,
  TeamType,
  TokenConnection,
  TokenPayload,
  toGrantType,
  toPrincipalType,
  toProjectType,
  toQuotaType,
  toTeamType,
  toTokenType,
  ViewerType,
} from './identity.type.ts';

const teamRef = (by: TeamBy): TeamRef => (by.path ? { name: by.path } : { id: idOfType('Team', by.id ?? '') ?? NOWHERE });

export function projectRef(by: ProjectBy): ProjectRef {
  if (!by.path) return { id: idOfType('Project', by.id ?? '') ?? NOWHERE };
  const [teamName = '', name = '', ...rest] = by.path.split('/');
  return rest.length > 0 ? { id: NOWHERE } : { teamName, name };
}

/** Grants in one input. Higher: one request does many look-ups; lower: a principal of many teams takes several. */
const MAX_GRANTS = 50;

@Resolver()
export class IdentityResolver {
  readonly #service: IdentityService;

  constructor(service: IdentityService) {
    this.#service = service;
  }

  @Query(() => ViewerType, { description: 'Who is asking, and what they may do.' })
  viewer(@Ctx() { principal }: ApiContext): ViewerType {
    return {
      principal: toPrincipalType(principal),
      grants: principal.grants.map(toGrantType),
      actions: ALL_ACTIONS.filter((action) => mayDoSomewhere(principal, action) || principal.platformActions.includes(action)),
    };
  }

  @Query(() => TeamType, { nullable: true, description: 'One team.' })
  async team(
    @Ctx() context: ApiContext,
    @Arg('by', () => TeamBy, { description: 'Which.' }) by: TeamBy,
  ): Promise<TeamType | null> {
    const team = await this.#service.team(await context.read(), context.principal, teamRef(by));
    return team && toTeamType(team);
  }

  @Query(() => ProjectType, { nullable: true, description: 'One project.' })
  async project(
    @Ctx() context: ApiContext,
    @Arg('by', () => ProjectBy, { description: 'Which.' }) by: ProjectBy,
  ): Promise<ProjectType | null> {
    const project = await this.#service.project(await context.read(), context.principal, projectRef(by));
    return project && toProjectType(project);
  }

  @Query(() => TeamConnection, { description: 'The teams that you may see, by name.' })
  async teams(
    @Ctx() context: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE, description: 'At most 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'Cursor to go on behind.' }) after?: string | null,
  ) {
    const limit = pageSize(first);
    const teams = await this.#service.teams(await context.read(), context.principal, { after: decodeCursor(after), limit });
    return toConnection(toPage(teams, limit), toTeamType, (team) => team.name);
  }

  @Query(() => TokenConnection, { description: 'The tokens that you administer, oldest first.' })
  async tokens(
    @Ctx() context: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE, description: 'At most 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'Cursor to go on behind.' }) after?: string | null,
  ) {
    const limit = pageSize(first);
    const tokens = await this.#service.tokens(await context.read(), context.principal, { after: idCursor(after), limit });
    return toConnection(toPage(tokens, limit), toTokenType, (token) => token.id);
  }

  @Query(() => PrincipalConnection, { description: 'The people and service accounts that you administer, oldest first.' })
  async principals(
    @Ctx() context: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE, description: 'At most 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'Cursor to go on behind.' }) after?: string | null,
  ) {
    const limit = pageSize(first);
    const principals = await this.#service.principals(await context.read(), context.principal, { after: idCursor(after), limit });
    return toConnection(toPage(principals, limit), toPrincipalType, (principal) => principal.id);
  }

  @Mutation(() => TeamPayload, { description: 'Makes a team.' })
  async createTeam(
    @Ctx() context: ApiContext,
    @Arg('input', () => CreateTeamInput, { description: 'The team.' }) input: CreateTeamInput,
    @Arg('idempotencyKey', () => String, IDEMPOTENCY_KEY) idempotencyKey?: string | null,
  ): Promise<TeamPayload> {
    const outcome = await this.#service.createTeam(callerOf(context, idempotencyKey), { name: input.name });
    await context.changed();
    if (!outcome.ok) return { team: null, userErrors: toUserErrors([outcome.error]) };
    const team = await this.#service.team(await context.read(), context.principal, { id: outcome.value.teamId });
    return { team: team && toTeamType(team), userErrors: [] };
  }

  @Mutation(() => ProjectPayload, { description: 'Makes a project in a team.' })
  async createProject(
    @Ctx() context: ApiContext,
    @Arg('input', () => CreateProjectInput, { description: 'The project.' }) input: CreateProjectInput,
    @Arg('idempotencyKey', () => String, IDEMPOTENCY_KEY) idempotencyKey?: string | null,
  ): Promise<ProjectPayload> {
    const { maxSpendPerHour, maxReplicas, name } = input;
    const outcome = await this.#service.createProject(callerOf(context, idempotencyKey), {
      team: teamRef(input.team),
      name,
      maxReplicas: maxReplicas ?? null,
      maxSpendPerHour: maxSpendPerHour ? parseUsd(maxSpendPerHour) : null,
    });
    return this.#projectPayload(context, outcome);
  }

  @Mutation(() => ProjectPayload, { description: 'Changes the defaults of a project.' })
  async updateProject(
    @Ctx() context: ApiContext,
    @Arg('input', () => UpdateProjectInput, { description: 'What changes.' }) input: UpdateProjectInput,
    @Arg('expectedVersion', () => Int, { nullable: true, description: 'Refuse if it changed since.' })
    expectedVersion?: number | null,
    @Arg('idempotencyKey', () => String, IDEMPOTENCY_KEY) idempotencyKey?: string | null,
  ): Promise<ProjectPayload> {
    const outcome = await this.#service.updateProject(callerOf(context, idempotencyKey), {
      project: projectRef(input.project),
      expectedVersion: expectedVersion ?? null,
      maxReplicas: input.maxReplicas ?? null,
      maxSpendPerHour: input.maxSpendPerHour ? parseUsd(input.maxSpendPerHour) : null,
    });
    return this.#projectPayload(context, outcome);
  }

  async #projectPayload(context: ApiContext, outcome: Result<{ projectId: string }, Failure>): Promise<ProjectPayload> {
    await context.changed();
    if (!outcome.ok) return { project: null, userErrors: toUserErrors([outcome.error]) };
    const project = await this.#service.project(await context.read(), context.principal, { id: outcome.value.projectId });
    return { project: project && toProjectType(project), userErrors: [] };
  }

  @Mutation(() => PrincipalPayload, { description: 'Makes a service account or lets a person in.' })
  async createPrincipal(
    @Ctx() context: ApiContext,
    @Arg('input', () => CreatePrincipalInput, { description: 'The principal.' }) input: CreatePrincipalInput,
    @Arg('idempotencyKey', () => String, IDEMPOTENCY_KEY) idempotencyKey?: string | null,
  ): Promise<PrincipalPayload> {
    const grants = await this.#grants(context, input.grants, ['input', 'grants']);
    if (!grants.ok) return { principal: null, userErrors: toUserErrors([grants.error]) };
    const outcome = await this.#service.createPrincipal(callerOf(context, idempotencyKey), {
      team: input.team ? teamRef(input.team) : null,
      name: input.name,
      oidc: input.oidc ?? null,
      grants: grants.value,
    });
    return this.#principalPayload(context, outcome);
  }

  @Mutation(() => PrincipalPayload, { description: 'Gives a principal a role; routers know it within a second.' })
  async grantRole(
    @Ctx() context: ApiContext,
    @Arg('input', () => ChangeRoleInput, { description: 'To whom, and which.' }) input: ChangeRoleInput,
    @Arg('idempotencyKey', () => String, IDEMPOTENCY_KEY) idempotencyKey?: string | null,
  ): Promise<PrincipalPayload> {
    const grants = await this.#grants(context, [input.grant], ['input', 'grant']);
    const [grant] = grants.ok ? grants.value : [];
    if (!grant) return { principal: null, userErrors: grants.ok ? [] : toUserErrors([grants.error]) };
    const principalId = idOfType('Principal', input.principal) ?? NOWHERE;
    return this.#principalPayload(
      context,
      await this.#service.grantRole(callerOf(context, idempotencyKey), { principalId, grant }),
    );
  }

  @Mutation(() => PrincipalPayload, {
    description: 'Takes a role away; its tokens lose it with the next call, and at routers within a second.',
  })
  async revokeRole(
    @Ctx() context: ApiContext,
    @Arg('input', () => ChangeRoleInput, { description: 'From whom, and which.' }) input: ChangeRoleInput,
    @Arg('idempotencyKey', () => String, IDEMPOTENCY_KEY) idempotencyKey?: string | null,
  ): Promise<PrincipalPayload> {
    const grants = await this.#grants(context, [input.grant], ['input', 'grant']);
    const [grant] = grants.ok ? grants.value : [];
    if (!grant) return { principal: null, userErrors: grants.ok ? [] : toUserErrors([grants.error]) };
    const principalId = idOfType('Principal', input.principal) ?? NOWHERE;
    return this.#principalPayload(
      context,
      await this.#service.revokeRole(callerOf(context, idempotencyKey), { principalId, grant }),
    );
  }

  async #principalPayload(context: ApiContext, outcome: Result<{ principalId: string }, Failure>): Promise<PrincipalPayload> {
    await context.changed();
    if (!outcome.ok) return { principal: null, userErrors: toUserErrors([outcome.error]) };
    const principal = await this.#service.principal(await context.read(), context.principal, outcome.value.principalId);
    return { principal: principal && toPrincipalType(principal), userErrors: [] };
  }

  @Mutation(() => CreateTokenPayload, { description: 'Makes a token and shows it this once.' })
  async createToken(
    @Ctx() context: ApiContext,
    @Arg('input', () => CreateTokenInput, { description: 'The token.' }) input: CreateTokenInput,
    @Arg('idempotencyKey', () => String, IDEMPOTENCY_KEY) idempotencyKey?: string | null,
  ): Promise<CreateTokenPayload> {
    const scope = input.scope ? await this.#grants(context, input.scope, ['input', 'scope']) : ok(null);
    if (!scope.ok) return { token: null, secret: null, userErrors: toUserErrors([scope.error]) };
    const outcome = await this.#service.createToken(callerOf(context, idempotencyKey), {
      principalId: idOfType('Principal', input.principal) ?? NOWHERE,
      name: input.name,
      scope: scope.value,
      expiresAt: input.expiresAt ?? null,
    });
    await context.changed();
    if (!outcome.ok) return { token: null, secret: null, userErrors: toUserErrors([outcome.error]) };
    const token = await this.#service.token(await context.read(), context.principal, outcome.value.tokenId);
    return { token: token && toTokenType(token), secret: outcome.value.token, userErrors: [] };
  }

  @Mutation(() => TokenPayload, {
    description: 'Revokes a token: refused by the next call, and by connected routers within a second.',
  })
  async revokeToken(
    @Ctx() context: ApiContext,
    @Arg('input', () => RevokeTokenInput, { description: 'Which.' }) input: RevokeTokenInput,
    @Arg('idempotencyKey', () => String, IDEMPOTENCY_KEY) idempotencyKey?: string | null,
  ): Promise<TokenPayload> {
    const outcome = await this.#service.revokeToken(callerOf(context, idempotencyKey), {
      tokenId: idOfType('Token', input.token) ?? NOWHERE,
    });
    await context.changed();
    if (!outcome.ok) return { token: null, userErrors: toUserErrors([outcome.error]) };
    const token = await this.#service.token(await context.read(), context.principal, outcome.value.tokenId);
    return { token: token && toTokenType(token), userErrors: [] };
  }

  @Mutation(() => TeamPayload, { description: 'Limits a team or one of its projects.' })
  async setQuota(
    @Ctx() context: ApiContext,
    @Arg('input', () => SetQuotaInput, { description: 'The limit.' }) input: SetQuotaInput,
    @Arg('idempotencyKey', () => String, IDEMPOTENCY_KEY) idempotencyKey?: string | null,
    @Arg('expectedVersion', () => Int, {
      nullable: true,
      description: 'Refuse if its version is another; 0 = there is none yet.',
    })
    expectedVersion?: number | null,
  ): Promise<TeamPayload> {
    const outcome = await this.#service.setQuota(callerOf(context, idempotencyKey), {
      team: teamRef(input.team),
      project: input.project ? projectRef(input.project) : null,
      resource: input.resource,
      maximum: input.maximum,
      expectedVersion: expectedVersion ?? null,
    });
    await context.changed();
    if (!outcome.ok) return { team: null, userErrors: toUserErrors([outcome.error]) };
    const team = await this.#service.team(await context.read(), context.principal, { id: outcome.value.teamId });
    return { team: team && toTeamType(team), userErrors: [] };
  }

  /** Names become ids; what the caller may not see does not resolve. */
  async #grants(context: ApiContext, inputs: readonly GrantInput[], path: readonly string[]): Promise<Result<Grant[], Failure>> {
    if (inputs.length > MAX_GRANTS) return err(failure('LIMIT_EXCEEDED', `At most ${MAX_GRANTS} grants at a time.`, { path }));
    const grants: Grant[] = [];
    for (const input of inputs) {
      const grant = await this.#grant(context, input, path);
      if (!grant.ok) return grant;
      grants.push(grant.value);
    }
    return ok(grants);
  }

  async #grant(
    context: ApiContext,
    { role, team, project }: GrantInput,
    path: readonly string[],
  ): Promise<Result<Grant, Failure>> {
    const tx = await context.read();
    const inTeam = team ? await this.#service.team(tx, context.principal, teamRef(team)) : null;
    if (team && !inTeam) return err(notFound('team', path));
    if (!project) return ok({ role, teamId: inTeam?.id ?? null, projectId: null });
    const found = await this.#service.project(tx, context.principal, projectRef(project));
    if (!found || (inTeam && inTeam.id !== found.teamId)) return err(notFound('project', path));
    return ok({ role, teamId: found.teamId, projectId: found.id });
  }
}

/** Who asks for a change, as services want it. */
export const callerOf = (context: ApiContext, idempotencyKey: string | null | undefined): Caller => ({
  principal: context.principal,
  idempotencyKey: idempotencyKey ?? null,
});

@Resolver(() => TeamType)
export class TeamResolver {
  readonly #service: IdentityService;

  constructor(service: IdentityService) {
    this.#service = service;
  }

  @FieldResolver(() => ProjectConnection, { description: 'Its projects, by name.' })
  async projects(
    @Root() team: TeamType,
    @Ctx() context: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE, description: 'At most 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'Cursor to go on behind.' }) after?: string | null,
  ) {
    const limit = pageSize(first);
    const projects = await this.#service.projects(await context.read(), context.principal, team.teamId, {
      after: decodeCursor(after),
      limit,
    });
    return toConnection(toPage(projects, limit), toProjectType, (project) => project.name);
  }

  @FieldResolver(() => [QuotaType], { description: 'Its limits.' })
  async quotas(@Root() team: TeamType, @Ctx() context: ApiContext): Promise<QuotaType[]> {
    return (await this.#service.quotas(await context.read(), context.principal, team.teamId)).map(toQuotaType);
  }
}

/** How `node(id)` finds what belongs to identity. */
export const identityNodes = (service: IdentityService): NodeSource[] => [
  {
    typeName: 'Team',
    load: async (context, id) => present(await service.team(await context.read(), context.principal, { id }), toTeamType),
  },
  {
    typeName: 'Project',
    load: async (context, id) => present(await service.project(await context.read(), context.principal, { id }), toProjectType),
  },
  {
    typeName: 'Principal',
    load: async (context, id) => present(await service.principal(await context.read(), context.principal, id), toPrincipalType),
  },
  {
    typeName: 'Token',
    load: async (context, id) => present(await service.token(await context.read(), context.principal, id), toTokenType),
  },
];

const present = <S, T>(value: S | null, map: (value: S) => T): T | null => (value === null ? null : map(value));
