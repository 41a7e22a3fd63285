import { GraphQLError } from 'graphql';
import { Arg, Ctx, ID, Resolver, Subscription } from 'type-graphql';
import type { ApiContext } from '../graphql/context.ts';
import { idOfType, NOWHERE } from '../graphql/global-id.ts';
import { deploymentLoader } from './deployment.loader.ts';
import { DeploymentType, toDeploymentType } from './deployment.type.ts';
import type { DeploymentsService } from './deployments.service.ts';

/** The live status of one deployment. */
@Resolver()
export class DeploymentStatusResolver {
  readonly #service: DeploymentsService;

  constructor(service: DeploymentsService) {
    this.#service = service;
  }

  @Subscription(() => DeploymentType, {
    name: 'deployment',
    description: 'The deployment as it is, then again after each of its events; ends when it is gone, at once if there is none.',
    subscribe: ({ args, context }) => (context as ApiContext).changesOf(rowIdOf((args as { id: string }).id)),
  })
  async watch(@Arg('id', () => ID, { description: 'Which.' }) id: string, @Ctx() context: ApiContext): Promise<DeploymentType> {
    const deployment = await deploymentLoader(context, this.#service).load(rowIdOf(id));
    // It may go between the event and the read; the subscription ends with the next event.
    if (!deployment) throw new GraphQLError('The deployment is gone.', { extensions: { code: 'NOT_FOUND' } });
    return toDeploymentType(deployment);
  }
}

const rowIdOf = (id: string): string => idOfType('Deployment', id) ?? NOWHERE;
