import { record } from '../events/event-log.ts';
import { mayDo, visibleTo } from '../identity/authorize.ts';
import type { Caller, ProjectRef } from '../identity/identity.service.ts';
import type { IdentityStore } from '../identity/identity-store.port.ts';
import type { Project } from '../identity/team.ts';
import type { Clock } from '../kernel/clock.ts';
import { isDigest } from '../kernel/digest.ts';
import type { Json } from '../kernel/event.ts';
import { failure, notFound, type Failure } from '../kernel/failure.ts';
import { newId, type Id } from '../kernel/id.ts';
import { scopeOf, type Principal } from '../kernel/principal.ts';
import type { Random } from '../kernel/random.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Commands } from '../persistence/commands.ts';
import type { Database } from '../persistence/database.ts';
import {
  checkAliasName,
  checkModel,
  checkVersion,
  type AliasChange,
  type Model,
  type ModelAlias,
  type VersionDraft,
} from './model.ts';
import type { ModelPath, ModelStore, VersionsQuestion } from './model-store.port.ts';
import type { ModelVersion, VersionTarget } from './model-version.ts';
import { aliasChanged, modelRegistered, versionArchived, versionRegistered } from './registry.events.ts';
import type { SignatureSource } from './signature-source.port.ts';

export interface ModelsDeps {
  readonly database: Pick<Database, 'read'>;
  readonly commands: Commands;
  readonly clock: Clock;
  readonly random: Random;
  readonly store: ModelStore;
  readonly identity: Pick<IdentityStore, 'findProject' | 'projectsById'>;
  readonly signatures: SignatureSource;
}

export type ModelRef = { readonly id: Id } | ModelPath;

export interface ModelsPage {
  readonly project: ProjectRef | null;
  readonly nameContains: string | null;
  readonly after: string | null;
  readonly first: number;
}

/** Models, their immutable numbered versions, and aliases with their whole history. */
export class ModelsService {
  readonly #deps: ModelsDeps;

  constructor(deps: ModelsDeps) {
    this.#deps = deps;
  }

  /** Null for absent and for forbidden. */
  async model(tx: Transaction, principal: Principal, ref: ModelRef): Promise<Model | null> {
    const model = await this.#deps.store.model(tx, ref);
    return model && mayDo(principal, 'model.read', model) ? model : null;
  }

  /** One page by path; models that the caller may not see are not there. */
  async models(tx: Transaction, principal: Principal, page: ModelsPage): Promise<{ items: Model[]; hasNextPage: boolean }> {
    const project = page.project && (await this.#deps.identity.findProject(tx, page.project));
    if (page.project && !project) return { items: [], hasNextPage: false };
    const question = { nameContains: page.nameContains, after: page.after, limit: page.first };
    const rows = await this.#deps.store.models(tx, {
      ...question,
      projectId: project?.id ?? null,
      visible: visibleTo(principal, 'model.read'),
    });
    return { items: rows.slice(0, page.first), hasNextPage: rows.length > page.first };
  }

  /** In the order of `ids`; null for absent and for forbidden. */
  async modelsByIds(tx: Transaction, principal: Principal, ids: readonly Id[]): Promise<(Model | null)[]> {
    const found = new Map((await this.#deps.store.modelsByIds(tx, ids)).map((model) => [model.id, model]));
    return ids.map((id) => readable(principal, found.get(id)));
  }

  /** The projects of models that the caller has been given, in the order of `ids`. */
  async projectsByIds(tx: Transaction, ids: readonly Id[]): Promise<(Project | null)[]> {
    const found = new Map((await this.#deps.identity.projectsById(tx, ids)).map((project) => [project.id, project]));
    return ids.map((id) => found.get(id) ?? null);
  }

  /** In the order of `ids`; null for absent and for forbidden. */
  async versionsByIds(tx: Transaction, principal: Principal, ids: readonly Id[]): Promise<(ModelVersion | null)[]> {
    const found = new Map((await this.#deps.store.versionsByIds(tx, ids)).map((version) => [version.id, version]));
    return ids.map((id) => readable(principal, found.get(id)));
  }

  /** A page of versions of each model, newest first; the caller must have been given the models. */
  versions(tx: Transaction, question: VersionsQuestion): Promise<ModelVersion[]> {
    return this.#deps.store.versions(tx, question);
  }

  /** The aliases of each model; the caller must have been given the models. */
  aliases(tx: Transaction, modelIds: readonly Id[]): Promise<ModelAlias[]> {
    return this.#deps.store.aliases(tx, modelIds);
  }

  /** Everything that each alias of each model ever pointed at, newest first; the caller must have been given the models. */
  aliasHistory(tx: Transaction, modelIds: readonly Id[]): Promise<AliasChange[]> {
    return this.#deps.store.aliasHistory(tx, modelIds);
  }

  /** The version of a model of a project by number, by alias or the newest that is not archived; null for absent and for forbidden. */
  async resolveVersion(
    tx: Transaction,
    principal: Principal,
    wanted: { readonly projectId: Id; readonly model: string; readonly version: VersionTarget },
  ): Promise<ModelVersion | null> {
    const model = await this.#deps.store.model(tx, { projectId: wanted.projectId, name: wanted.model });
    if (!model || !mayDo(principal, 'model.read', model)) return null;
    return this.#deps.store.version(tx, model.id, wanted.version);
  }

  registerModel(
    caller: Caller,
    input: { readonly project: ProjectRef; readonly name: string; readonly description: string },
  ): Promise<Result<{ modelId: Id }, Failure>> {
    return this.#run(caller, 'registerModel', input, async (tx) => {
      const project = await this.#deps.identity.findProject(tx, input.project);
      if (!project || !mayDo(caller.principal, 'model.write', { teamId: project.teamId, projectId: project.id })) {
        return err(notFound('project', ['input', 'project']));
      }
      const wrong = checkModel(input.name, input.description);
      if (wrong) return err(wrong);
      const { id: projectId, teamId, teamName, name: projectName } = project;
      if (await this.#deps.store.model(tx, { projectId, name: input.name })) {
        return err(failure('ALREADY_EXISTS', 'The project has a model of this name.', { path: ['input', 'name'] }));
      }
      const names = { teamName, projectName, name: input.name, description: input.description };
      const model: Model = { ...this.#made(caller), teamId, projectId, ...names, version: 1 };
      await this.#deps.store.insertModel(tx, model);
      record(tx, modelRegistered(this.#change(caller, model)));
      return ok({ modelId: model.id });
    });
  }

  /** Registers the next number. What an ONNX file takes and gives is read from the file itself. */
  async registerVersion(
    caller: Caller,
    input: { readonly model: ModelRef } & VersionDraft,
  ): Promise<Result<{ versionId: Id }, Failure>> {
    await this.#prepareSignature(caller.principal, input);
    return this.#run(caller, 'registerModelVersion', { ...input, lineage: input.lineage && { ...input.lineage } }, async (tx) => {
      const found = await this.#writable(tx, caller, input.model);
      if (!found) return err(notFound('model', ['input', 'model']));
      const wrong = checkVersion(input);
      if (wrong) return err(wrong);
      const described = await this.#describe(tx, found, input.artifactDigest);
      if (!described.ok) return described;
      const version = await this.#insertNext(tx, caller, { model: found, draft: input, ...described.value });
      return ok({ versionId: version.id });
    });
  }

  /** Points an alias at a version; the same again changes nothing. */
  setAlias(
    caller: Caller,
    input: { readonly model: ModelRef; readonly name: string; readonly number: number; readonly expectedVersion?: number | null },
  ): Promise<Result<{ modelId: Id }, Failure>> {
    const { expectedVersion = null } = input;
    return this.#run(caller, 'setModelAlias', input, async (tx) => {
      const found = await this.#writable(tx, caller, input.model);
      const version = found && (await this.#deps.store.version(tx, found.id, { number: input.number }));
      if (!found) return err(notFound('model', ['input', 'model']));
      if (!version) return err(notFound('version', ['input', 'version']));
      const present = (await this.#deps.store.aliases(tx, [found.id])).find(({ name }) => name === input.name)?.version ?? 0;
      const wrong = checkAliasName(input.name) ?? refuseArchived(version) ?? refuseStaleAlias(present, expectedVersion);
      if (wrong) return err(wrong);
      await this.#pointAlias(tx, caller, { model: found, name: input.name, version });
      return ok({ modelId: found.id });
    });
  }

  /** Takes a version out of use for new deployments; those that run it go on. Refused while an alias points at it. */
  archiveVersion(caller: Caller, input: { readonly versionId: Id }): Promise<Result<{ versionId: Id }, Failure>> {
    return this.#run(caller, 'archiveModelVersion', input, async (tx) => {
      const [version] = await this.#deps.store.versionsByIds(tx, [input.versionId]);
      const model = version && (await this.#writable(tx, caller, { id: version.modelId }));
      if (!version || !model) return err(notFound('version', ['input', 'modelVersion']));
      if (version.archivedAt !== null) return ok({ versionId: version.id });
      const pointing = (await this.#deps.store.aliases(tx, [model.id])).find((alias) => alias.versionId === version.id);
      if (pointing)
        return err(failure('PRECONDITION_FAILED', `The alias ${pointing.name} points at this version: move it first.`));
      const change = this.#change(caller, { ...model, version: model.version + 1 });
      await this.#deps.store.archiveVersion(tx, version.id, change.at);
      await this.#deps.store.raiseVersion(tx, model.id);
      record(tx, versionArchived(change, version));
      return ok({ versionId: version.id });
    });
  }

  /** The model, locked, if the caller may change it. */
  async #writable(tx: Transaction, caller: Caller, ref: ModelRef): Promise<Model | null> {
    const seen = await this.#deps.store.model(tx, ref);
    return seen && mayDo(caller.principal, 'model.write', seen) ? this.#deps.store.lockModel(tx, seen.id) : null;
  }

  /** Reading a large file takes longer than a transaction may: it is done before, for those who may register it. */
  async #prepareSignature(
    principal: Principal,
    { model, artifactDigest: digest }: { readonly model: ModelRef } & VersionDraft,
  ): Promise<void> {
    if (digest === null || !isDigest(digest)) return;
    const seen = await this.#deps.database.read(scopeOf(principal), (tx) => this.#deps.store.model(tx, model));
    if (seen && mayDo(principal, 'model.write', seen)) await this.#deps.signatures.prepare({ projectId: seen.projectId, digest });
  }

  async #describe(
    tx: Transaction,
    model: Model,
    digest: string | null,
  ): Promise<Result<Pick<ModelVersion, 'artifact' | 'signature'>, Failure>> {
    if (digest === null) return ok({ artifact: null, signature: null });
    if (!isDigest(digest))
      return err(failure('INVALID_INPUT', 'A digest is "sha256:" and 64 hex digits.', { path: ['input', 'artifactDigest'] }));
    const read = await this.#deps.signatures.read(tx, { projectId: model.projectId, digest });
    if (!read.ok) return err({ ...read.error, path: ['input', 'artifactDigest'] });
    return ok({ artifact: { digest, sizeBytes: read.value.sizeBytes }, signature: read.value.signature });
  }

  async #insertNext(
    tx: Transaction,
    caller: Caller,
    parts: { readonly model: Model; readonly draft: VersionDraft } & Pick<ModelVersion, 'artifact' | 'signature'>,
  ): Promise<ModelVersion> {
    const { model, draft, artifact, signature } = parts;
    const version: ModelVersion = {
      ...this.#made(caller),
      teamId: model.teamId,
      projectId: model.projectId,
      modelId: model.id,
      number: (await this.#deps.store.lastNumber(tx, model.id)) + 1,
      format: draft.runtime.format,
      artifact,
      signature,
      runtime: draft.runtime,
      resources: draft.resources,
      carries: draft.carries ?? [],
      lineage: draft.lineage,
      archivedAt: null,
    };
    await this.#deps.store.insertVersion(tx, version);
    await this.#deps.store.raiseVersion(tx, model.id);
    record(tx, versionRegistered(this.#change(caller, { ...model, version: model.version + 1 }), version));
    return version;
  }

  async #pointAlias(
    tx: Transaction,
    caller: Caller,
    target: { readonly model: Model; readonly name: string; readonly version: ModelVersion },
  ): Promise<void> {
    const { model, name, version } = target;
    const existing = (await this.#deps.store.aliases(tx, [model.id])).find((alias) => alias.name === name);
    if (existing?.versionId === version.id) return;
    const [before] = existing ? await this.#deps.store.versionsByIds(tx, [existing.versionId]) : [];
    const change = this.#change(caller, { ...model, version: model.version + 1 });
    const twin = { generation: (existing?.version ?? 0) + 1, validFrom: change.at, principal: change.principal };
    await this.#deps.store.setAlias(tx, { modelId: model.id, name, teamId: model.teamId, versionId: version.id, ...twin });
    await this.#deps.store.raiseVersion(tx, model.id);
    record(tx, aliasChanged(change, { name, before: before?.number ?? null, after: version.number }));
  }

  #run<O extends Json>(caller: Caller, mutation: string, input: object, body: (tx: Transaction) => Promise<Result<O, Failure>>) {
    return this.#deps.commands.run({ ...caller, mutation, body: input as Json }, body);
  }

  #made(caller: Caller): { id: Id; createdAt: number; createdBy: Id } {
    const now = this.#deps.clock.now();
    return { id: newId(now, this.#deps.random), createdAt: now, createdBy: caller.principal.id };
  }

  #change(caller: Caller, model: Model) {
    return { model, at: this.#deps.clock.now(), principal: caller.principal.id };
  }
}

const readable = <T extends { readonly teamId: Id; readonly projectId: Id }>(
  principal: Principal,
  row: T | undefined,
): T | null => (row && mayDo(principal, 'model.read', row) ? row : null);

/** 0 = there is none yet. */
const refuseStaleAlias = (present: number, expected: number | null): Failure | null =>
  expected === null || expected === present
    ? null
    : failure('CONFLICT', `The alias is at version ${present} now: read it again.`, { path: ['expectedVersion'] });

const refuseArchived = (version: ModelVersion): Failure | null =>
  version.archivedAt === null
    ? null
    : failure('PRECONDITION_FAILED', 'This version is archived.', { path: ['input', 'version'] });
