import type { Migration } from '@mikro-orm/migrations';
import { Migration20261121000100_foundation } from './Migration20261121000100_foundation.ts';
import { Migration20261121000150_events } from './Migration20261121000150_events.ts';
import { Migration20261121000200_identity } from './Migration20261121000200_identity.ts';
import { Migration20261121000300_decisions } from './Migration20261121000300_decisions.ts';
import { Migration20261121000400_registry } from './Migration20261121000400_registry.ts';
import { Migration20261121000500_prices } from './Migration20261121000500_prices.ts';
import { Migration20261121000600_fleet } from './Migration20261121000600_fleet.ts';
import { Migration20261121000700_deployments } from './Migration20261121000700_deployments.ts';
import { Migration20261121000800_costs } from './Migration20261121000800_costs.ts';
import { Migration20261121000900_rollout_history } from './Migration20261121000900_rollout_history.ts';
import { Migration20261121001000_upload_claims } from './Migration20261121001000_upload_claims.ts';
import { Migration20261121001100_limits_history } from './Migration20261121001100_limits_history.ts';
import { Migration20261121001200_replicas_of_revisions } from './Migration20261121001200_replicas_of_revisions.ts';
import { Migration20261121001300_pool_nodes } from './Migration20261121001300_pool_nodes.ts';
import { Migration20261121001350_nodes } from './Migration20261121001350_nodes.ts';
import { Migration20261121001450_shared_nodes } from './Migration20261121001450_shared_nodes.ts';
import { Migration20261121001500_clusters } from './Migration20261121001500_clusters.ts';
import { Migration20261121001550_price_problems } from './Migration20261121001550_price_problems.ts';
import { Migration20261121001600_pools_that_go } from './Migration20261121001600_pools_that_go.ts';
import { Migration20261121001700_price_feeds } from './Migration20261121001700_price_feeds.ts';
import { Migration20261121001800_capacity_sources } from './Migration20261121001800_capacity_sources.ts';
import { Migration20261121001900_capacity } from './Migration20261121001900_capacity.ts';
import { Migration20261121002000_replicas_per_machine } from './Migration20261121002000_replicas_per_machine.ts';
import { Migration20261121002050_pool_machines } from './Migration20261121002050_pool_machines.ts';
import { Migration20261121002100_replica_rates } from './Migration20261121002100_replica_rates.ts';
import { Migration20261121002200_keys_of_pools } from './Migration20261121002200_keys_of_pools.ts';
import { Migration20261121002300_spot_reads } from './Migration20261121002300_spot_reads.ts';
import { Migration20261121002400_feed_editions } from './Migration20261121002400_feed_editions.ts';

/** Every migration, oldest first. A list and not a folder scan: the same in sources, in the build and in tests. */
export const MIGRATIONS: readonly (new (...args: ConstructorParameters<typeof Migration>) => Migration)[] = [
  Migration20261121000100_foundation,
  Migration20261121000150_events,
  Migration20261121000200_identity,
  Migration20261121000300_decisions,
  Migration20261121000400_registry,
  Migration20261121000500_prices,
  Migration20261121000600_fleet,
  Migration20261121000700_deployments,
  Migration20261121000800_costs,
  Migration20261121000900_rollout_history,
  Migration20261121001000_upload_claims,
  Migration20261121001100_limits_history,
  Migration20261121001200_replicas_of_revisions,
  Migration20261121001300_pool_nodes,
  Migration20261121001350_nodes,
  Migration20261121001450_shared_nodes,
  Migration20261121001500_clusters,
  Migration20261121001550_price_problems,
  Migration20261121001600_pools_that_go,
  Migration20261121001700_price_feeds,
  Migration20261121001800_capacity_sources,
  Migration20261121001900_capacity,
  Migration20261121002000_replicas_per_machine,
  Migration20261121002050_pool_machines,
  Migration20261121002100_replica_rates,
  Migration20261121002200_keys_of_pools,
  Migration20261121002300_spot_reads,
  Migration20261121002400_feed_editions,
];
