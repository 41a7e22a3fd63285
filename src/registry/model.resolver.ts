import { Arg, Ctx, FieldResolver, Int, Mutation, Query, Resolver, Root } from 'type-graphql';
import { DEFAULT_PAGE, decodeCursor, toConnection } from '../graphql/connection.type.ts';
import type { ApiContext } from '../graphql/context.ts';
import { idOfType, NOWHERE } from '../graphql/global-id.ts';
import { IDEMPOTENCY_KEY } from '../graphql/idempotency-key.ts';
import type { NodeSource } from '../graphql/node.type.ts';
import { numberCursor, pageSize } from '../graphql/page.ts';
import { toUserErrors } from '../graphql/payload.type.ts';
import { callerOf, projectRef } from '../identity/identity.resolver.ts';
import { ProjectType, toProjectType } from '../identity/identity.type.ts';
import { failure, type Failure } from '../kernel/failure.ts';
import { modelPath } from './model.ts';
import {
  ArchiveModelVersionInput,
  ModelBy,
  ModelFilter,
  RegisterModelInput,
  RegisterModelVersionInput,
  SetModelAliasInput,
  type ContainerInput,
  type ProcessInput,
} from './model.input.ts';
import { aliasesLoader, aliasHistoryLoader, modelLoader, projectLoader, versionLoader, versionsLoader } from './model.loader.ts';
import {
  ArchiveModelVersionPayload,
  ModelAliasChangeType,
  ModelAliasType,
  ModelConnection,
  ModelType,
  ModelVersionConnection,
  ModelVersionType,
  RegisterModelPayload,
  RegisterModelVersionPayload,
  SetModelAliasPayload,
  toAliasChangeType,
  toModelAliasType,
  toModelType,
  toModelVersionType,
} from './model.type.ts';
import type { ModelRef, ModelsService } from './models.service.ts';
import type { ModelVersion, Runtime } from './model-version.ts';
import { toReplicaRate, toResources } from './resources.type.ts';

function modelRef(by: ModelBy): ModelRef {
  if (!by.path) return { id: idOfType('Model', by.id ?? '') ?? NOWHERE };
  const [teamName = '', projectName = '', name = '', ...rest] = by.path.split('/');
  return rest.length > 0 ? { id: NOWHERE } : { teamName, projectName, name };
}

@Resolver(() => ModelType)
export class ModelResolver {
  readonly #service: ModelsService;

  constructor(service: ModelsService) {
    this.#service = service;
  }

  @Query(() => ModelType, { nullable: true, description: 'One model.' })
  async model(
    @Ctx() context: ApiContext,
    @Arg('by', () => ModelBy, { description: 'Which.' }) by: ModelBy,
  ): Promise<ModelType | null> {
    const model = await this.#service.model(await context.read(), context.principal, modelRef(by));
    return model && toModelType(model);
  }

  @Query(() => ModelConnection, { description: 'The models that you may see, by path.' })
  async models(
    @Ctx() context: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE, description: 'At most 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'Cursor to go on behind.' }) after?: string | null,
    @Arg('filter', () => ModelFilter, { nullable: true, description: 'Which; all when left out.' }) filter?: ModelFilter | null,
  ) {
    const wanted = { project: filter?.project ? projectRef(filter.project) : null, nameContains: filter?.nameContains ?? null };
    const page = await this.#service.models(await context.read(), context.principal, {
      ...wanted,
      after: decodeCursor(after),
      first: pageSize(first),
    });
    return toConnection({ ...page, totalCount: null }, toModelType, modelPath);
  }

  @FieldResolver(() => ProjectType, { description: 'The project that it belongs to.' })
  async project(@Root() model: ModelType, @Ctx() context: ApiContext): Promise<ProjectType | null> {
    const project = await projectLoader(context, this.#service).load(model.row.projectId);
    return project && toProjectType(project);
  }

  @FieldResolver(() => ModelVersionConnection, { description: 'Its versions, newest first.' })
  async versions(
    @Root() model: ModelType,
    @Ctx() context: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE, description: 'At most 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'Cursor to go on behind.' }) after?: string | null,
  ) {
    const limit = pageSize(first);
    const page = { limit: limit + 1, below: numberCursor(after) };
    const rows = await versionsLoader(context, this.#service, page).load(model.row.id);
    return toConnection(
      { items: rows.slice(0, limit), hasNextPage: rows.length > limit, totalCount: null },
      toModelVersionType,
      sortKeyOf,
    );
  }

  @FieldResolver(() => [ModelAliasType], { description: 'Its aliases, by name.' })
  async aliases(@Root() model: ModelType, @Ctx() context: ApiContext): Promise<ModelAliasType[]> {
    return (await aliasesLoader(context, this.#service).load(model.row.id)).map(toModelAliasType);
  }

  @Mutation(() => RegisterModelPayload, { description: 'Makes a model, without versions.' })
  async registerModel(
    @Ctx() context: ApiContext,
    @Arg('input', () => RegisterModelInput, { description: 'What.' }) input: RegisterModelInput,
    @Arg('idempotencyKey', () => String, IDEMPOTENCY_KEY) idempotencyKey?: string | null,
  ): Promise<RegisterModelPayload> {
    const caller = callerOf(context, idempotencyKey);
    const { name, description } = input;
    const outcome = await this.#service.registerModel(caller, { project: projectRef(input.project), name, description });
    await context.changed();
    if (!outcome.ok) return { model: null, userErrors: toUserErrors([outcome.error]) };
    const model = await modelLoader(context, this.#service).load(outcome.value.modelId);
    return { model: model && toModelType(model), userErrors: [] };
  }

  @Mutation(() => RegisterModelVersionPayload, { description: 'Registers the next version of a model.' })
  async registerModelVersion(
    @Ctx() context: ApiContext,
    @Arg('input', () => RegisterModelVersionInput, { description: 'What.' }) input: RegisterModelVersionInput,
    @Arg('idempotencyKey', () => String, IDEMPOTENCY_KEY) idempotencyKey?: string | null,
  ): Promise<RegisterModelVersionPayload> {
    const runtime = runtimeOf(input);
    if (!runtime) return { modelVersion: null, userErrors: toUserErrors([notExactlyOne()]) };
    const caller = callerOf(context, idempotencyKey);
    const lineage = input.lineage ? { runId: input.lineage.runId ?? null, sourceUrl: input.lineage.sourceUrl ?? null } : null;
    const draft = {
      ...{ runtime, artifactDigest: input.artifactDigest ?? null, resources: toResources(input.resources), lineage },
      ...(input.carries ? { carries: input.carries.map(toReplicaRate) } : {}),
    };
    const outcome = await this.#service.registerVersion(caller, { model: modelRef(input.model), ...draft });
    await context.changed();
    if (!outcome.ok) return { modelVersion: null, userErrors: toUserErrors([outcome.error]) };
    return { modelVersion: await this.#version(context, outcome.value.versionId), userErrors: [] };
  }

  @Mutation(() => SetModelAliasPayload, { description: 'Points an alias at a version; what it pointed at stays in its history.' })
  async setModelAlias(
    @Ctx() context: ApiContext,
    @Arg('input', () => SetModelAliasInput, { description: 'What.' }) input: SetModelAliasInput,
    @Arg('expectedVersion', () => Int, {
      nullable: true,
      description: 'Refuse if its `generation` is another now; 0 = it must not exist yet.',
    })
    expectedVersion?: number | null,
    @Arg('idempotencyKey', () => String, IDEMPOTENCY_KEY) idempotencyKey?: string | null,
  ): Promise<SetModelAliasPayload> {
    const caller = callerOf(context, idempotencyKey);
    const outcome = await this.#service.setAlias(caller, {
      model: modelRef(input.model),
      name: input.name,
      number: input.version,
      expectedVersion: expectedVersion ?? null,
    });
    await context.changed();
    if (!outcome.ok) return { alias: null, userErrors: toUserErrors([outcome.error]) };
    const aliases = await aliasesLoader(context, this.#service).load(outcome.value.modelId);
    const alias = aliases.find((one) => one.name === input.name);
    return { alias: alias ? toModelAliasType(alias) : null, userErrors: [] };
  }

  @Mutation(() => ArchiveModelVersionPayload, { description: 'Takes a version out of use for new deployments.' })
  async archiveModelVersion(
    @Ctx() context: ApiContext,
    @Arg('input', () => ArchiveModelVersionInput, { description: 'Which.' }) input: ArchiveModelVersionInput,
    @Arg('idempotencyKey', () => String, IDEMPOTENCY_KEY) idempotencyKey?: string | null,
  ): Promise<ArchiveModelVersionPayload> {
    const caller = callerOf(context, idempotencyKey);
    const outcome = await this.#service.archiveVersion(caller, {
      versionId: idOfType('ModelVersion', input.modelVersion) ?? NOWHERE,
    });
    await context.changed();
    if (!outcome.ok) return { modelVersion: null, userErrors: toUserErrors([outcome.error]) };
    return { modelVersion: await this.#version(context, outcome.value.versionId), userErrors: [] };
  }

  async #version(context: ApiContext, id: string): Promise<ModelVersionType | null> {
    const version = await versionLoader(context, this.#service).load(id);
    return version && toModelVersionType(version);
  }
}

@Resolver(() => ModelVersionType)
export class ModelVersionResolver {
  readonly #service: ModelsService;

  constructor(service: ModelsService) {
    this.#service = service;
  }

  @FieldResolver(() => ModelType, { description: 'The model.' })
  async model(@Root() version: ModelVersionType, @Ctx() context: ApiContext): Promise<ModelType | null> {
    const model = await modelLoader(context, this.#service).load(version.row.modelId);
    return model && toModelType(model);
  }
}

@Resolver(() => ModelAliasType)
export class ModelAliasResolver {
  readonly #service: ModelsService;

  constructor(service: ModelsService) {
    this.#service = service;
  }

  @FieldResolver(() => ModelVersionType, { description: 'What it points at.' })
  async version(@Root() alias: ModelAliasType, @Ctx() context: ApiContext): Promise<ModelVersionType | null> {
    const version = await versionLoader(context, this.#service).load(alias.row.versionId);
    return version && toModelVersionType(version);
  }

  @FieldResolver(() => [ModelAliasChangeType], { description: 'Everything that it ever pointed at, newest first.' })
  async history(@Root() alias: ModelAliasType, @Ctx() context: ApiContext): Promise<ModelAliasChangeType[]> {
    const changes = await aliasHistoryLoader(context, this.#service).load(alias.row.modelId);
    return changes.filter((change) => change.name === alias.row.name).map(toAliasChangeType);
  }
}

@Resolver(() => ModelAliasChangeType)
export class ModelAliasChangeResolver {
  readonly #service: ModelsService;

  constructor(service: ModelsService) {
    this.#service = service;
  }

  @FieldResolver(() => ModelVersionType, { nullable: true, description: 'What it pointed at; null = it was removed.' })
  async version(@Root() change: ModelAliasChangeType, @Ctx() context: ApiContext): Promise<ModelVersionType | null> {
    const version = change.versionId && (await versionLoader(context, this.#service).load(change.versionId));
    return version ? toModelVersionType(version) : null;
  }
}

export const registryNodes = (service: ModelsService): NodeSource[] => [
  {
    typeName: 'Model',
    load: async (context, id) => {
      const model = await modelLoader(context, service).load(id);
      return model && toModelType(model);
    },
  },
  {
    typeName: 'ModelVersion',
    load: async (context, id) => {
      const version = await versionLoader(context, service).load(id);
      return version && toModelVersionType(version);
    },
  },
];

const sortKeyOf = (version: ModelVersion): string => String(version.number);

/** Null unless exactly one way to start it is given. */
function runtimeOf({ artifactDigest, container, process }: RegisterModelVersionInput): Runtime | null {
  if ([artifactDigest, container, process].filter(Boolean).length !== 1) return null;
  if (container) return { format: 'container', image: container.image, ...serverOf(container) };
  return process ? { format: 'process', command: process.command, ...serverOf(process) } : { format: 'onnx' };
}

const serverOf = ({ port, healthPath, protocol, environment }: ContainerInput | ProcessInput) => ({
  port,
  healthPath,
  protocol,
  environment: Object.fromEntries((environment ?? []).map(({ name, value }) => [name, value])),
});

const notExactlyOne = (): Failure =>
  failure('INVALID_INPUT', 'Give exactly one of artifactDigest, container and process.', { path: ['input'] });
