import { join } from 'node:path';
import { makeApiMetrics } from '../api/api.metrics.ts';
import { EventResolver, type EventSubjects } from '../api/event.resolver.ts';
import { NodeResolver } from '../api/node.resolver.ts';
import { makeSchema } from '../api/schema.ts';
import { ApiServer } from '../api/server.ts';
import { EventLog } from '../events/event-log.ts';
import { AuthenticationService } from '../identity/authentication.service.ts';
import { BootstrapService } from '../identity/bootstrap.service.ts';
import { IdentityRepository } from '../identity/identity.repository.ts';
import { IdentityResolver, TeamResolver, identityNodes, projectRef } from '../identity/identity.resolver.ts';
import { IdentityService } from '../identity/identity.service.ts';
import { JoseOidcVerifier } from '../identity/oidc-verifier.adapter.ts';
import { QuotasService } from '../identity/quotas.service.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Random } from '../kernel/random.ts';
import { Commands } from '../persistence/commands.ts';
import type { Database } from '../persistence/database.ts';
import type { Logger } from '../telemetry/logger.ts';
import { makeMetricRegistry } from '../telemetry/metrics.ts';
import type { Config } from './config.ts';
import { packageRoot } from './package-root.ts';

export interface ComposeDeps {
  readonly config: Config;
  readonly database: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** The whole control plane as one object graph: the only place that knows every implementation. Nothing runs until it is started. */
export function compose({ config, database, clock, random, logger }: ComposeDeps) {
  const registry = makeMetricRegistry();
  const commands = new Commands({ database, clock });
  const events = new EventLog({ database, clock, logger });

  const identityStore = new IdentityRepository();
  const oidc = config.oidc ? new JoseOidcVerifier(config.oidc) : null;
  const authentication = new AuthenticationService({ database, store: identityStore, clock, oidc });
  const bootstrap = new BootstrapService({ database, store: identityStore, clock, random });
  const identity = new IdentityService({ commands, store: identityStore, clock, random });
  const quotas = new QuotasService(identityStore);

  const subjects: EventSubjects = {
    deploymentId: () => Promise.resolve(null),
    projectId: async (tx, principal, reference) => {
      const project = await identity.project(tx, principal, projectRef(reference.includes('/') ? { path: reference } : { id: reference }));
      return project?.id ?? null;
    },
  };
  const eventResolver = new EventResolver(events, subjects);
  const resolvers = new Map<unknown, object>([
    [NodeResolver, new NodeResolver([...identityNodes(identity)])],
    [IdentityResolver, new IdentityResolver(identity)],
    [TeamResolver, new TeamResolver(identity)],
    [EventResolver, eventResolver],
  ]);
  let ready = false;
  const api = new ApiServer({
    schema: makeSchema({ get: (resolver) => resolvers.get(resolver) ?? {} }),
    database,
    authentication,
    events: eventResolver,
    artifacts: null,
    dashboardDir: join(packageRoot, 'dist', 'dashboard'),
    clock,
    random,
    logger,
    metrics: makeApiMetrics(registry),
    isReady: () => ready,
  });
  void quotas;
  return { api, events, bootstrap, registry, setReady: (value: boolean) => (ready = value) };
}
