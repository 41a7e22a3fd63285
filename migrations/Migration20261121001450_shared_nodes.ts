import { Migration } from '@mikro-orm/migrations';
import { platformTable } from './rls.ts';

const NO_NODE = '00000000-0000-0000-0000-000000000000';

/** Nodes with what they have and cost, the pods on them, what these used, and lines that belong to a node instead of a team. */
export class Migration20261121001450_shared_nodes extends Migration {
  override up(): void {
    this.addSql(NODES);
    this.addSql(PODS);
    for (const table of ['node_placement', 'pod_use', 'pod_reading']) this.addSql(platformTable(table));
    this.addSql(lines('ledger_line', 'minute', ', n'));
    this.addSql(lines('ledger_hour', 'hour', ''));
  }
}

const NODES = `
      create table metered_node (
        node_id uuid primary key,
        cluster_id uuid not null references cluster,
        name text not null,
        capacity_from bigint not null,
        capacity_until bigint,
        until_estimated boolean not null default false,
        sampled_through bigint not null default 0,
        closed_until bigint not null,
        ended boolean not null default false
      );
      create index on metered_node (cluster_id);
      create index on metered_node (node_id) where not ended;
      create table node_shape (
        node_id uuid not null references metered_node,
        n integer not null,
        at bigint not null,
        cpu_milli bigint not null,
        memory_mib bigint not null,
        gpu_milli bigint not null,
        unit_prices integer not null,
        offering_id uuid references offering,
        annotated numeric(38, 0),
        prices integer not null default 0,
        primary key (node_id, n)
      );
      create table node_restatement (
        node_id uuid not null,
        minute bigint not null,
        primary key (node_id, minute)
      );
    `;

const PODS = `
      create table node_placement (
        pod_id uuid not null,
        placed_from bigint not null,
        placed_until bigint,
        node_id uuid not null references metered_node,
        namespace text not null,
        name text not null,
        cpu_milli bigint not null,
        memory_mib bigint not null,
        gpu_milli bigint not null,
        primary key (pod_id, placed_from)
      );
      create index on node_placement (node_id);
      create table pod_use (
        pod_id uuid not null,
        minute bigint not null,
        cpu_us bigint not null,
        cpu_ms bigint not null,
        memory_mib bigint not null,
        memory_samples integer not null,
        primary key (pod_id, minute)
      );
      create index on pod_use (minute);
      create table pod_reading (
        pod_id uuid primary key,
        at bigint not null,
        cpu_us bigint
      );
    `;

/** A line may belong to nobody's team; only platform principals see it then. A replica's line says which node it was on. */
const lines = (table: string, time: string, more: string): string => `
      alter table ${table} alter column team_id drop not null;
      alter table ${table} alter column project_id drop not null;
      alter table ${table} add column node_id uuid not null default '${NO_NODE}';
      alter table ${table} drop constraint ${table}_pkey;
      alter table ${table} add primary key (resource_id, ${time}, price_id, state, group_key, node_id${more});
      create index on ${table} (node_id, ${time}) where node_id <> '${NO_NODE}';
    `;
