import { join } from 'node:path';
import { makeApiMetrics } from '../api/api.metrics.ts';
import { artifactRoutes } from '../api/artifacts.ts';
import { EventResolver } from '../api/event.resolver.ts';
import { RouterLink } from '../api/router-link.ts';
import { makeSchema } from '../api/schema.ts';
import { ApiServer } from '../api/server.ts';
import { ReplicaEvidenceRepository } from '../costs/replica-evidence.repository.ts';
import { RevisionErrorRepository } from '../costs/revision-errors.repository.ts';
import { makeDeploymentMetrics } from '../deployments/deployments.metrics.ts';
import type { LoopPace } from '../deployments/plan-workloads.ts';
import { readSetting } from './config.ts';
import { packageRoot } from './package-root.ts';
import { signedArtifactGrants } from './signed-artifact-grants.ts';
import { makeResolvers } from './make-resolvers.ts';
import { makeServices, type ComposeDeps } from './make-services.ts';

/** The whole control plane as one object graph. Nothing runs until it is started. */
export function compose(deps: ComposeDeps) {
  const services = makeServices(deps);
  const { config, secret, clock, registry, logger, authentication } = services;
  const resolvers = makeResolvers(services);
  let ready = false;
  const api = new ApiServer({
    ...services,
    schema: makeSchema({ get: (resolver) => resolvers.get(resolver) ?? {} }),
    events: resolvers.get(EventResolver) as EventResolver,
    artifacts: artifactRoutes(services),
    dashboardDir: join(packageRoot, 'dist', 'dashboard'),
    metrics: makeApiMetrics(registry),
    isReady: () => ready,
  });
  const link = new RouterLink({
    authenticate: (token) => authentication.authenticate(token),
    tables: services.routeTable,
    usage: services.metering,
    registry,
    tls: config.linkTls && {
      cert: readSetting('PURSER_LINK_TLS_CERT', config.linkTls.certFile),
      key: readSetting('PURSER_LINK_TLS_KEY', config.linkTls.keyFile),
    },
    logger,
  });
  const clusterLoop = {
    ...services,
    store: services.deploymentStore,
    errors: new RevisionErrorRepository(),
    evidence: new ReplicaEvidenceRepository(),
    metrics: makeDeploymentMetrics(registry),
    artifacts: signedArtifactGrants({ apiUrl: config.publicApiUrl, secret, clock }),
    pace: PACE,
  };
  const setReady = (value: boolean) => {
    ready = value;
  };
  return { ...services, api, link, clusterLoop, setReady };
}

/** The object graph. */
export type Parts = ReturnType<typeof compose>;

/** How fast rollouts go unless told otherwise. */
const PACE: LoopPace = { stepMs: 3_000, progressDeadlineMs: 180_000, graceMs: 1_500 };
