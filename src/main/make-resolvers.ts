import { EventSubjectRepository } from '../api/event-subject.repository.ts';
import { DeploymentEventsResolver, EventSubjectResolver } from '../api/event-relations.resolver.ts';
import { EventResolver } from '../api/event.resolver.ts';
import { NodeResolver } from '../api/node.resolver.ts';
import { CloudResolver } from '../clouds/cloud.resolver.ts';
import { CostResolver, DeploymentCostsResolver, ModelCostsResolver } from '../costs/cost.resolver.ts';
import {
  AliasSnapshotResolver,
  DeploymentSnapshotResolver,
  SnapshotResolver,
  TrafficShareSnapshotResolver,
} from '../costs/snapshot.resolver.ts';
import { DecisionResolver, decisionNodes } from '../decisions/decision.resolver.ts';
import { DeploymentMutationsResolver } from '../deployments/deployment-mutations.resolver.ts';
import {
  DeploymentResolver,
  ModelDeploymentsResolver,
  ModelVersionDeploymentsResolver,
  ReplicaResolver,
  RevisionResolver,
  deploymentNodes,
} from '../deployments/deployment.resolver.ts';
import { DeploymentStatusResolver } from '../deployments/deployment-status.resolver.ts';
import { FleetPlanResolver } from '../deployments/fleet-plan.resolver.ts';
import { RebuildResolver } from '../deployments/rebuild.resolver.ts';
import { ModelVersionServedResolver, ServingIntervalResolver } from '../deployments/served.resolver.ts';
import { ClusterResolver, fleetNodes } from '../fleet/cluster.resolver.ts';
import { ClusterNodeResolver, ClusterNodesResolver, PoolScalingResolver, clusterNodeNodes } from '../fleet/node.resolver.ts';
import { IdentityResolver, TeamResolver, identityNodes } from '../identity/identity.resolver.ts';
import { agreementNodes, PriceAgreementResolver } from '../pricing/agreement.resolver.ts';
import { OfferingResolver, pricingNodes } from '../pricing/offering.resolver.ts';
import { PriceFeedResolver, priceFeedNodes } from '../pricing/price-feed.resolver.ts';
import {
  ModelAliasChangeResolver,
  ModelAliasResolver,
  ModelResolver,
  ModelVersionResolver,
  registryNodes,
} from '../registry/model.resolver.ts';
import type { Services } from './make-services.ts';

/** An instance of every resolver class. */
export function makeResolvers(services: Services): ReadonlyMap<unknown, object> {
  return new Map<unknown, object>([...catalogueResolvers(services), ...operationResolvers(services)]);
}

function catalogueResolvers(services: Services): [unknown, object][] {
  const { identity, models, clouds, prices, pricing, fleet, nodes, decisions, deployments } = services;
  const sources = [
    ...identityNodes(identity),
    ...registryNodes(models),
    ...pricingNodes(prices),
    ...priceFeedNodes(pricing.feeds),
    ...agreementNodes(pricing.agreements),
    ...fleetNodes(fleet),
    ...clusterNodeNodes(nodes),
    ...deploymentNodes(deployments),
    ...decisionNodes(decisions),
  ];
  const node = new NodeResolver(sources);
  return [
    [NodeResolver, node],
    [EventSubjectResolver, new EventSubjectResolver(node)],
    [IdentityResolver, new IdentityResolver(identity)],
    [TeamResolver, new TeamResolver(identity)],
    [ModelResolver, new ModelResolver(models)],
    [ModelVersionResolver, new ModelVersionResolver(models)],
    [ModelAliasResolver, new ModelAliasResolver(models)],
    [ModelAliasChangeResolver, new ModelAliasChangeResolver(models)],
    [CloudResolver, new CloudResolver(clouds)],
    [OfferingResolver, new OfferingResolver(prices)],
    [PriceFeedResolver, new PriceFeedResolver(pricing.feeds, prices)],
    [PriceAgreementResolver, new PriceAgreementResolver(pricing.agreements)],
    [ClusterResolver, new ClusterResolver(fleet)],
    [ClusterNodesResolver, new ClusterNodesResolver(nodes)],
    [ClusterNodeResolver, new ClusterNodeResolver(nodes)],
    [PoolScalingResolver, new PoolScalingResolver({ nodes, fleet })],
    [DecisionResolver, new DecisionResolver(decisions)],
  ];
}

function operationResolvers(services: Services): [unknown, object][] {
  const { config, models, decisions, deploy, deployments, served, clusters, costs, snapshots, events } = services;
  return [
    [DeploymentResolver, new DeploymentResolver({ deployments, decisions, routerUrl: config.publicRouterUrl })],
    [DeploymentStatusResolver, new DeploymentStatusResolver(deployments)],
    [DeploymentMutationsResolver, new DeploymentMutationsResolver({ deploy, deployments, decisions })],
    [FleetPlanResolver, new FleetPlanResolver(services.fleetPlans, services.identity)],
    [RebuildResolver, new RebuildResolver(services.rebuilds, services.fleet)],
    [RevisionResolver, new RevisionResolver(models)],
    [ReplicaResolver, new ReplicaResolver(deployments, (clusterId) => clusters.get(clusterId) ?? null)],
    [ModelDeploymentsResolver, new ModelDeploymentsResolver(deployments)],
    [ModelVersionDeploymentsResolver, new ModelVersionDeploymentsResolver(deployments)],
    [ModelVersionServedResolver, new ModelVersionServedResolver(served)],
    [ServingIntervalResolver, new ServingIntervalResolver(deployments)],
    [CostResolver, new CostResolver(costs)],
    [ModelCostsResolver, new ModelCostsResolver(costs)],
    [DeploymentCostsResolver, new DeploymentCostsResolver(costs)],
    [SnapshotResolver, new SnapshotResolver(snapshots)],
    [DeploymentSnapshotResolver, new DeploymentSnapshotResolver(snapshots)],
    [TrafficShareSnapshotResolver, new TrafficShareSnapshotResolver(models)],
    [AliasSnapshotResolver, new AliasSnapshotResolver(models)],
    [EventResolver, new EventResolver(events, new EventSubjectRepository())],
    [DeploymentEventsResolver, new DeploymentEventsResolver()],
  ];
}
