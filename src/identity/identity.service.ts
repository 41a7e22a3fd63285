import type { Clock } from '../kernel/clock.ts';
import type { Json } from '../kernel/event.ts';
import { failure, notFound, type Failure } from '../kernel/failure.ts';
import { newId, type Id } from '../kernel/id.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { Grant, Principal } from '../kernel/principal.ts';
import type { Random } from '../kernel/random.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import { newToken } from '../kernel/token.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { record } from '../events/event-log.ts';
import type { Commands } from '../persistence/commands.ts';
import { mayDo, mayDoSomewhere, PLATFORM, placesOf } from './authorize.ts';
import { administers, checkGrant, coversAll } from './grants.ts';
import { principalCreated, projectChanged, quotaChanged, roleChanged, teamCreated, tokenChanged } from './identity.events.ts';
import type { IdentityStore, ListWindow, PrincipalRecord, TokenRecord } from './identity-store.port.ts';
import { newPrincipal, newProject, newTokenRecord, type Birth, type NewPrincipal, type NewToken } from './new-records.ts';
import { parseMaximum, type Quota, type QuotaResource } from './quotas.ts';
import { checkLimits, checkName, type Project, type Team } from './team.ts';

export interface IdentityDeps {
  readonly commands: Commands;
  readonly store: IdentityStore;
  readonly clock: Clock;
  readonly random: Random;
}

/** Who asks for a change, and whether they may repeat it. */
export interface Caller {
  readonly principal: Principal;
  readonly idempotencyKey: string | null;
}

export type TeamRef = { readonly id: Id } | { readonly name: string };
export type ProjectRef = { readonly id: Id } | { readonly teamName: string; readonly name: string };

export interface ProjectLimits {
  readonly maxReplicas?: number | null;
  readonly maxSpendPerHour?: PicoUsdPerHour | null;
}

export interface NewPrincipalInput extends NewPrincipal {
  readonly team: TeamRef | null;
}

/** Teams, projects, principals, tokens and quotas. */
export class IdentityService {
  readonly #deps: IdentityDeps;

  constructor(deps: IdentityDeps) {
    this.#deps = deps;
  }

  /** Null for absent and for forbidden. */
  async team(tx: Transaction, principal: Principal, ref: TeamRef): Promise<Team | null> {
    const team = await this.#deps.store.findTeam(tx, ref);
    return team && seesTeam(principal, team.id) ? team : null;
  }

  async project(tx: Transaction, principal: Principal, ref: ProjectRef): Promise<Project | null> {
    const project = await this.#deps.store.findProject(tx, ref);
    return project && mayDo(principal, 'project.read', { teamId: project.teamId, projectId: project.id }) ? project : null;
  }

  async teams(tx: Transaction, principal: Principal, window: ListWindow): Promise<readonly Team[]> {
    if (!mayDoSomewhere(principal, 'team.read')) return [];
    return (await this.#deps.store.listTeams(tx, window)).filter((team) => seesTeam(principal, team.id));
  }

  async projects(tx: Transaction, principal: Principal, teamId: Id, window: ListWindow): Promise<readonly Project[]> {
    return this.#deps.store.listProjects(tx, teamId, placesOf(principal.grants, 'project.read'), window);
  }

  /** Everybody may see themselves. */
  async principal(tx: Transaction, principal: Principal, id: Id): Promise<PrincipalRecord | null> {
    const found = await this.#deps.store.findPrincipal(tx, id);
    return found && (found.id === principal.id || mayDo(principal, 'principal.read', { teamId: found.teamId, projectId: null }))
      ? found
      : null;
  }

  async principals(tx: Transaction, principal: Principal, window: ListWindow): Promise<readonly PrincipalRecord[]> {
    const { all, teamIds } = placesOf(principal.grants, 'principal.read');
    return this.#deps.store.listPrincipals(tx, all ? null : teamIds, window);
  }

  async tokens(tx: Transaction, principal: Principal, window: ListWindow): Promise<readonly TokenRecord[]> {
    const { all, teamIds } = placesOf(principal.grants, 'token.read');
    return this.#deps.store.listTokens(tx, all ? null : teamIds, window);
  }

  async token(tx: Transaction, principal: Principal, id: Id): Promise<TokenRecord | null> {
    const token = await this.#deps.store.findToken(tx, id);
    return token && mayDo(principal, 'token.read', { teamId: token.teamId, projectId: null }) ? token : null;
  }

  async quotas(tx: Transaction, principal: Principal, teamId: Id): Promise<readonly Quota[]> {
    return mayDo(principal, 'quota.read', { teamId, projectId: null }) ? this.#deps.store.listQuotas(tx, teamId) : [];
  }

  createTeam(caller: Caller, input: { readonly name: string }): Promise<Result<{ teamId: Id }, Failure>> {
    return this.#run(caller, 'createTeam', input, async (tx) => {
      if (!mayDo(caller.principal, 'team.create', PLATFORM)) return err(notFound('action'));
      const wrong = checkName(input.name, ['input', 'name']);
      if (wrong) return err(wrong);
      if (await this.#deps.store.findTeam(tx, { name: input.name }))
        return err(failure('ALREADY_EXISTS', 'A team of this name exists.', { path: ['input', 'name'] }));
      const team: Team = { id: this.#newId(), name: input.name, version: 1, createdAt: this.#now() };
      await this.#deps.store.insertTeam(tx, team);
      record(tx, teamCreated(team, this.#cause(caller)));
      return ok({ teamId: team.id });
    });
  }

  createProject(
    caller: Caller,
    input: { readonly team: TeamRef; readonly name: string } & ProjectLimits,
  ): Promise<Result<{ projectId: Id }, Failure>> {
    return this.#run(
      caller,
      'createProject',
      { ...input, maxSpendPerHour: input.maxSpendPerHour?.toString() ?? null },
      async (tx) => {
        const team = await this.#deps.store.findTeam(tx, input.team);
        if (!team || !mayDo(caller.principal, 'project.create', { teamId: team.id, projectId: null }))
          return err(notFound('team', ['input', 'team']));
        const project: Project = { ...newProject(team, input.name, this.#birth()), ...definedLimits(input) };
        const wrong = checkName(input.name, ['input', 'name']) ?? checkLimits(project);
        if (wrong) return err(wrong);
        if (await this.#deps.store.findProject(tx, { teamName: team.name, name: input.name })) {
          return err(failure('ALREADY_EXISTS', 'The team has a project of this name.', { path: ['input', 'name'] }));
        }
        await this.#deps.store.insertProject(tx, project, this.#cause(caller));
        record(tx, projectChanged(null, project, this.#cause(caller)));
        return ok({ projectId: project.id });
      },
    );
  }

  /** A stale `expectedVersion` is a CONFLICT that names the current one; null = whatever it is. */
  updateProject(
    caller: Caller,
    input: { readonly project: ProjectRef; readonly expectedVersion: number | null } & ProjectLimits,
  ): Promise<Result<{ projectId: Id }, Failure>> {
    return this.#run(
      caller,
      'updateProject',
      { ...input, maxSpendPerHour: input.maxSpendPerHour?.toString() ?? null },
      async (tx) => {
        const before = await this.#deps.store.findProject(tx, input.project);
        if (!before || !mayDo(caller.principal, 'project.create', { teamId: before.teamId, projectId: before.id }))
          return err(notFound('project', ['input', 'project']));
        const after: Project = { ...before, ...definedLimits(input), version: before.version + 1 };
        const wrong = checkLimits(after);
        if (wrong) return err(wrong);
        const stale = failure('CONFLICT', `The project is at version ${before.version} now: read it again.`, {
          path: ['expectedVersion'],
        });
        if (input.expectedVersion !== null && input.expectedVersion !== before.version) return err(stale);
        const change = { ...this.#cause(caller), expected: before.version };
        if (!(await this.#deps.store.updateProject(tx, after, change))) return err(stale);
        record(tx, projectChanged(before, after, this.#cause(caller)));
        return ok({ projectId: after.id });
      },
    );
  }

  createPrincipal(caller: Caller, input: NewPrincipalInput): Promise<Result<{ principalId: Id }, Failure>> {
    const body = { team: input.team, name: input.name, oidc: input.oidc, grants: input.grants };
    return this.#run(caller, 'createPrincipal', body, async (tx) => {
      const owner = await this.#ownerOf(tx, caller.principal, input.team);
      if (!owner) return err(notFound('team', ['input', 'team']));
      const grants = { by: caller.principal, ownerTeamId: owner.teamId, path: ['input', 'grants'] };
      const wrong = checkName(input.name, ['input', 'name']) ?? (await this.#checkGrants(tx, input.grants, grants));
      if (wrong) return err(wrong);
      const principal = newPrincipal(input, owner.teamId, this.#birth());
      await this.#deps.store.insertPrincipal(tx, principal);
      for (const grant of input.grants) await this.#grant(tx, principal.id, grant);
      record(tx, principalCreated(principal, this.#cause(caller)));
      return ok({ principalId: principal.id });
    });
  }

  /** Where a new principal belongs; null unless `by` may make one there. */
  async #ownerOf(tx: Transaction, by: Principal, ref: TeamRef | null): Promise<{ readonly teamId: Id | null } | null> {
    const team = ref && (await this.#deps.store.findTeam(tx, ref));
    if (ref && !team) return null;
    const teamId = team?.id ?? null;
    return mayDo(by, 'principal.write', { teamId, projectId: null }) ? { teamId } : null;
  }

  /** Giving a role that is held already changes nothing and says so. */
  grantRole(
    caller: Caller,
    input: { readonly principalId: Id; readonly grant: Grant },
  ): Promise<Result<{ principalId: Id }, Failure>> {
    return this.#run(caller, 'grantRole', input, async (tx) => {
      const owner = await this.#writablePrincipal(tx, caller.principal, input.principalId);
      if (!owner) return err(notFound('principal', ['input', 'principal']));
      const wrong = await this.#checkGrants(tx, [input.grant], {
        by: caller.principal,
        ownerTeamId: owner.teamId,
        path: ['input', 'grant'],
      });
      if (wrong) return err(wrong);
      const row = { ...input.grant, id: this.#newId(), principalId: owner.id, createdAt: this.#now() };
      if (!(await this.#deps.store.insertGrant(tx, row)))
        return err(failure('ALREADY_EXISTS', 'The principal has this role already.', { path: ['input', 'grant'] }));
      record(tx, roleChanged('granted', owner, row, this.#cause(caller)));
      return ok({ principalId: owner.id });
    });
  }

  /** Nobody takes PLATFORM_ADMIN from themselves: one administrator always remains. */
  revokeRole(
    caller: Caller,
    input: { readonly principalId: Id; readonly grant: Grant },
  ): Promise<Result<{ principalId: Id }, Failure>> {
    return this.#run(caller, 'revokeRole', input, async (tx) => {
      const { principal } = caller;
      const owner = await this.#writablePrincipal(tx, principal, input.principalId);
      if (!owner) return err(notFound('principal', ['input', 'principal']));
      if (owner.id === principal.id && input.grant.role === 'platform_admin') {
        return err(
          failure('PRECONDITION_FAILED', 'You may not take PLATFORM_ADMIN from yourself: ask another administrator.', {
            path: ['input', 'grant'],
          }),
        );
      }
      const gone = coversAll(principal.grants, [input.grant])
        ? await this.#deps.store.deleteGrant(tx, owner.id, input.grant)
        : null;
      if (gone === null) return err(notFound('grant', ['input', 'grant']));
      record(tx, roleChanged('revoked', owner, { ...input.grant, id: gone }, this.#cause(caller)));
      return ok({ principalId: owner.id });
    });
  }

  async #writablePrincipal(tx: Transaction, by: Principal, id: Id): Promise<PrincipalRecord | null> {
    const found = await this.#deps.store.findPrincipal(tx, id);
    return found && mayDo(by, 'principal.write', { teamId: found.teamId, projectId: null }) ? found : null;
  }

  /** The token's text is in this answer and nowhere else; a repeat under the same key gives the token's id without it. */
  async createToken(caller: Caller, input: NewToken): Promise<Result<{ tokenId: Id; token: string | null }, Failure>> {
    let text: string | null = null;
    const body = { principalId: input.principalId, name: input.name, scope: input.scope, expiresAt: input.expiresAt };
    const outcome = await this.#run(caller, 'createToken', body, async (tx) => {
      const owner = await this.#deps.store.findPrincipal(tx, input.principalId);
      if (!owner || !administers(caller.principal, owner)) return err(notFound('principal', ['input', 'principal']));
      const wrong = checkName(input.name, ['input', 'name']) ?? this.#checkToken(owner, input);
      if (wrong) return err(wrong);
      text = newToken(owner.kind === 'person' ? 'user' : 'service', this.#deps.random);
      const token = newTokenRecord(owner, input, { ...this.#birth(), text });
      await this.#deps.store.insertToken(tx, token);
      record(tx, tokenChanged(null, token, this.#cause(caller)));
      return ok({ tokenId: token.id });
    });
    return outcome.ok ? ok({ ...outcome.value, token: text }) : outcome;
  }

  /** Revoking twice is a PRECONDITION_FAILED, not an error of the second caller's making: it is revoked. */
  revokeToken(caller: Caller, input: { readonly tokenId: Id }): Promise<Result<{ tokenId: Id }, Failure>> {
    return this.#run(caller, 'revokeToken', input, async (tx) => {
      const before = await this.#deps.store.findToken(tx, input.tokenId);
      const owner = before && (await this.#deps.store.findPrincipal(tx, before.principalId));
      if (!before || !owner || !administers(caller.principal, owner)) return err(notFound('token', ['input', 'token']));
      const at = this.#now();
      if (!(await this.#deps.store.revokeToken(tx, before.id, at)))
        return err(failure('PRECONDITION_FAILED', 'The token is revoked already.', { path: ['input', 'token'] }));
      record(tx, tokenChanged(before, { ...before, revokedAt: at }, this.#cause(caller)));
      return ok({ tokenId: before.id });
    });
  }

  setQuota(
    caller: Caller,
    input: {
      readonly team: TeamRef;
      readonly project: ProjectRef | null;
      readonly resource: QuotaResource;
      readonly maximum: string;
      /** 0 = there is none yet; null = whatever it is. */
      readonly expectedVersion?: number | null;
    },
  ): Promise<Result<{ teamId: Id }, Failure>> {
    return this.#run(caller, 'setQuota', input, async (tx) => {
      const team = await this.#deps.store.findTeam(tx, input.team);
      if (!team || !mayDo(caller.principal, 'quota.write', { teamId: team.id, projectId: null }))
        return err(notFound('team', ['input', 'team']));
      const project = input.project && (await this.#deps.store.findProject(tx, input.project));
      if (input.project && project?.teamId !== team.id) return err(notFound('project', ['input', 'project']));
      const place = { teamId: team.id, projectId: project?.id ?? null };
      const refused = await this.#saveQuota(tx, caller, { ...input, ...place });
      if (refused) return err(refused);
      return ok({ teamId: team.id });
    });
  }

  /** Writes first and judges by what it replaced: a refusal undoes it. */
  async #saveQuota(
    tx: Transaction,
    caller: Caller,
    wanted: Pick<Quota, 'teamId' | 'projectId' | 'resource'> & {
      readonly maximum: string;
      readonly expectedVersion?: number | null;
    },
  ): Promise<Failure | null> {
    const { store } = this.#deps;
    const { teamId, projectId, resource, expectedVersion: expected = null } = wanted;
    const maximum = parseMaximum(resource, wanted.maximum);
    if (maximum === null) {
      const message = 'maximum must be a whole number (USD for SPEND_PER_HOUR), not below zero.';
      return failure('INVALID_INPUT', message, { path: ['input', 'maximum'] });
    }
    const known = await store.findQuotas(tx, teamId, projectId, resource);
    const before = known.find((quota) => quota.projectId === projectId) ?? null;
    const id = before?.id ?? this.#newId();
    const after = await store.saveQuota(tx, { id, teamId, projectId, resource, maximum, version: 1 }, this.#cause(caller));
    record(tx, quotaChanged(before, after, this.#cause(caller)));
    const replaced = after.version - 1;
    if (expected === null || expected === replaced) return null;
    return failure('CONFLICT', `The quota is at version ${replaced} now: read it again.`, { path: ['expectedVersion'] });
  }

  /** A project's grant must lie in its team. */
  async #checkGrants(
    tx: Transaction,
    grants: readonly Grant[],
    { by, ownerTeamId, path }: { readonly by: Principal; readonly ownerTeamId: Id | null; readonly path: readonly string[] },
  ): Promise<Failure | null> {
    for (const grant of grants) {
      const wrong = checkGrant(by, ownerTeamId, grant, path);
      if (wrong) return wrong;
      if (grant.projectId === null) continue;
      const project = await this.#deps.store.findProject(tx, { id: grant.projectId });
      if (project?.teamId !== grant.teamId) return notFound('project', path);
    }
    return null;
  }

  #checkToken(owner: PrincipalRecord, input: NewToken): Failure | null {
    if (input.expiresAt !== null && input.expiresAt <= this.#now())
      return failure('INVALID_INPUT', 'expiresAt must be in the future.', { path: ['input', 'expiresAt'] });
    return input.scope && !coversAll(owner.grants, input.scope)
      ? failure('INVALID_INPUT', 'The scope must not be wider than what the principal may do.', { path: ['input', 'scope'] })
      : null;
  }

  async #grant(tx: Transaction, principalId: Id, grant: Grant): Promise<void> {
    await this.#deps.store.insertGrant(tx, { ...grant, id: this.#newId(), principalId, createdAt: this.#now() });
  }

  #run<O extends Json>(
    caller: Caller,
    mutation: string,
    input: object,
    body: (tx: Transaction) => Promise<Result<O, Failure>>,
  ): Promise<Result<O, Failure>> {
    const { principal, idempotencyKey } = caller;
    return this.#deps.commands.run({ principal, mutation, idempotencyKey, body: input as Json }, body);
  }

  #cause(caller: Caller) {
    return { at: this.#now(), principal: caller.principal.id };
  }

  #birth(): Birth {
    return { id: this.#newId(), createdAt: this.#now() };
  }

  #now(): number {
    return this.#deps.clock.now();
  }

  #newId(): Id {
    return newId(this.#now(), this.#deps.random);
  }
}

const definedLimits = (limits: ProjectLimits): Partial<Pick<Project, 'maxReplicas' | 'maxSpendPerHour'>> => ({
  ...(limits.maxReplicas == null ? {} : { maxReplicas: limits.maxReplicas }),
  ...(limits.maxSpendPerHour == null ? {} : { maxSpendPerHour: limits.maxSpendPerHour }),
});

/** A role in one of its projects is enough to see that a team exists. */
const seesTeam = (principal: Principal, teamId: Id): boolean =>
  principal.grants.some(
    (grant) =>
      (grant.teamId === null || grant.teamId === teamId) && mayDo(principal, 'team.read', { teamId, projectId: grant.projectId }),
  );
