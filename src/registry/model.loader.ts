import DataLoader from 'dataloader';
import type { ApiContext } from '../graphql/context.ts';
import type { Project } from '../identity/team.ts';
import type { Id } from '../kernel/id.ts';
import type { AliasChange, Model, ModelAlias } from './model.ts';
import type { ModelsService } from './models.service.ts';
import type { ModelVersion } from './model-version.ts';

/** One statement per level, however many parents ask. */
export const versionsLoader = (
  context: ApiContext,
  service: ModelsService,
  page: { readonly limit: number; readonly below: number | null },
) =>
  context.loader(`model.versions ${page.limit} ${page.below ?? ''}`, () =>
    grouped<ModelVersion>(
      (modelIds) => context.read().then((tx) => service.versions(tx, { ...page, modelIds })),
      (version) => version.modelId,
    ),
  );

export const aliasesLoader = (context: ApiContext, service: ModelsService) =>
  context.loader('model.aliases', () =>
    grouped<ModelAlias>(
      (modelIds) => context.read().then((tx) => service.aliases(tx, modelIds)),
      (alias) => alias.modelId,
    ),
  );

export const aliasHistoryLoader = (context: ApiContext, service: ModelsService) =>
  context.loader('model.aliasHistory', () =>
    grouped<AliasChange>(
      (modelIds) => context.read().then((tx) => service.aliasHistory(tx, modelIds)),
      (change) => change.modelId,
    ),
  );

export const modelLoader = (context: ApiContext, service: ModelsService) =>
  context.loader(
    'model.byId',
    () => new DataLoader<Id, Model | null>(async (ids) => service.modelsByIds(await context.read(), context.principal, ids)),
  );

export const projectLoader = (context: ApiContext, service: ModelsService) =>
  context.loader(
    'model.project',
    () => new DataLoader<Id, Project | null>(async (ids) => service.projectsByIds(await context.read(), ids)),
  );

export const versionLoader = (context: ApiContext, service: ModelsService) =>
  context.loader(
    'modelVersion.byId',
    () =>
      new DataLoader<Id, ModelVersion | null>(async (ids) => service.versionsByIds(await context.read(), context.principal, ids)),
  );

function grouped<T>(load: (ids: readonly Id[]) => Promise<readonly T[]>, parentOf: (row: T) => Id): DataLoader<Id, T[]> {
  return new DataLoader<Id, T[]>(async (ids) => {
    const rows = Map.groupBy(await load(ids), parentOf);
    return ids.map((id) => rows.get(id) ?? []);
  });
}
