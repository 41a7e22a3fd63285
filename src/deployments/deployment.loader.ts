import DataLoader from 'dataloader';
import type { Decision } from '../decisions/decision.ts';
import type { DecisionsService } from '../decisions/decisions.service.ts';
import type { ApiContext } from '../graphql/context.ts';
import type { Id } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Deployment } from './deployment.ts';
import type { DeploymentsService } from './deployments.service.ts';
import type { Replica } from './replica.ts';
import type { Revision } from './revision.ts';
import type { Rollout } from './rollout.ts';

/** One statement per level, however many parents ask. */
export const deploymentLoader = (context: ApiContext, service: DeploymentsService) =>
  context.loader(
    'deployment.byId',
    () => new DataLoader<Id, Deployment | null>(async (ids) => service.byIds(await context.read(), context.principal, ids)),
  );

export const revisionsLoader = (context: ApiContext, service: DeploymentsService) =>
  context.loader('deployment.revisions', () => grouped<Revision>(context, service.revisions));

export const rolloutsLoader = (context: ApiContext, service: DeploymentsService) =>
  context.loader('deployment.rollouts', () => grouped<Rollout>(context, service.rollouts));

export const replicasLoader = (context: ApiContext, service: DeploymentsService) =>
  context.loader('deployment.replicas', () => grouped<Replica>(context, service.replicas));

export const hourlyLoader = (context: ApiContext, service: DeploymentsService) =>
  context.loader(
    'deployment.hourly',
    () =>
      new DataLoader<Id, bigint>(async (ids) => {
        const sums = await service.hourly(await context.read(), ids);
        return ids.map((id) => sums.get(id) ?? 0n);
      }),
  );

export const revisionLoader = (context: ApiContext, service: DeploymentsService) =>
  context.loader(
    'revision.byId',
    () =>
      new DataLoader<Id, Revision | null>(async (ids) => {
        const found = new Map((await service.revisionsByIds(await context.read(), ids)).map((row) => [row.id, row]));
        return ids.map((id) => found.get(id) ?? null);
      }),
  );

export const clusterNameLoader = (context: ApiContext, service: DeploymentsService) =>
  context.loader(
    'cluster.name',
    () =>
      new DataLoader<Id, string | null>(async (ids) => {
        const found = new Map((await service.clusterNames(await context.read(), ids)).map(({ id, name }) => [id, name]));
        return ids.map((id) => found.get(id) ?? null);
      }),
  );

export const replicaLoader = (context: ApiContext, service: DeploymentsService) =>
  context.loader(
    'replica.byId',
    () =>
      new DataLoader<Id, Replica | null>(async (ids) => {
        const found = new Map((await service.replicasByIds(await context.read(), ids)).map((row) => [row.id, row]));
        return ids.map((id) => found.get(id) ?? null);
      }),
  );

export const decisionsOfLoader = (context: ApiContext, service: DecisionsService, first: number) =>
  context.loader(
    `deployment.decisions ${first}`,
    () =>
      new DataLoader<Id, Decision[]>(async (ids) => {
        const found = await service.newestOf(await context.read(), context.principal, ids, first);
        return ids.map((id) => found.get(id) ?? []);
      }),
  );

export const deploymentsOfModelLoader = (context: ApiContext, service: DeploymentsService) =>
  context.loader('model.deployments', () =>
    ofLoader(context, (tx, modelIds) => service.deploymentsOf(tx, context.principal, { modelIds })),
  );

export const deploymentsOfVersionLoader = (context: ApiContext, service: DeploymentsService) =>
  context.loader('modelVersion.deployments', () =>
    ofLoader(context, (tx, versionIds) => service.deploymentsOf(tx, context.principal, { versionIds })),
  );

type Grouping = ReadonlyMap<Id, readonly { readonly deployment: Deployment }[]>;

const ofLoader = (context: ApiContext, load: (tx: Transaction, ids: readonly Id[]) => Promise<Grouping>) =>
  new DataLoader<Id, Deployment[]>(async (ids) => {
    const found = await load(await context.read(), ids);
    return ids.map((id) => (found.get(id) ?? []).map(({ deployment }) => deployment));
  });

function grouped<T extends { readonly deploymentId: Id }>(
  context: ApiContext,
  load: (tx: Transaction, ids: readonly Id[]) => Promise<readonly T[]>,
): DataLoader<Id, T[]> {
  return new DataLoader<Id, T[]>(async (ids) => {
    const rows = Map.groupBy(await load(await context.read(), ids), ({ deploymentId }) => deploymentId);
    return ids.map((id) => rows.get(id) ?? []);
  });
}
