import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { graphql } from '../../typescript/generated/gql.ts';
import type { ClustersQuery, RebuildClusterMutation } from '../../typescript/generated/graphql.ts';
import type { Cli } from '../cli-context.ts';
import { table } from '../output.ts';
import { allNodes } from '../pages.ts';
import { found, refuse } from '../refusals.ts';
import {
  editOf,
  register,
  resumeGrowth,
  setScaling,
  update,
  type RegisterOptions,
  type ScalingOptions,
  type UpdateOptions,
} from './cluster-settings.ts';
import { heldLines, show } from './cluster-show.ts';

const Clusters = graphql(`
  query Clusters($after: String) {
    clusters(first: 100, after: $after) {
      nodes {
        id
        name
        kind
        cordoned
        version
        pools {
          name
          capacityType
        }
        status {
          observedAt
          conditions {
            type
            status
            reason
            message
          }
        }
        heldRemovals {
          digest
          count
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`);

const NamedCluster = graphql(`
  query NamedCluster($name: String!) {
    cluster(by: { path: $name }) {
      id
      pools {
        id
        name
      }
    }
  }
`);

const CordonCluster = graphql(`
  mutation CordonCluster($input: CordonClusterInput!, $idempotencyKey: String) {
    cordonCluster(input: $input, idempotencyKey: $idempotencyKey) {
      cluster {
        id
        name
        cordoned
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const DeclareClusterLost = graphql(`
  mutation DeclareClusterLost($input: DeclareClusterLostInput!, $idempotencyKey: String) {
    declareClusterLost(input: $input, idempotencyKey: $idempotencyKey) {
      cluster {
        id
        name
        lostAt
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const RemoveCluster = graphql(`
  mutation RemoveCluster($input: RemoveClusterInput!, $idempotencyKey: String) {
    removeCluster(input: $input, idempotencyKey: $idempotencyKey) {
      removedId
      userErrors {
        ...Refusal
      }
    }
  }
`);

const RebuildCluster = graphql(`
  mutation RebuildCluster($input: RebuildClusterInput!, $dryRun: Boolean!, $idempotencyKey: String) {
    rebuildCluster(input: $input, dryRun: $dryRun, idempotencyKey: $idempotencyKey) {
      cluster {
        id
        name
      }
      actions {
        kind
        message
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const ApproveRemovals = graphql(`
  mutation ApproveRemovals($input: ApproveRemovalsInput!, $idempotencyKey: String) {
    approveRemovals(input: $input, idempotencyKey: $idempotencyKey) {
      cluster {
        id
        name
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const RENT = 'where machines may be rented for it: REGION[:MAX]=PROVIDER[,SETTING=VALUE…], such as aws/us-east-1:10=aws';

export function addClusterCommands(program: Command, cli: () => Cli): void {
  const clusters = program
    .command('clusters')
    .alias('cluster')
    .description('where replicas run: list, register, update, rebuild');
  clusters
    .command('list', { isDefault: true })
    .description('list them with what was last seen of them')
    .action(() => list(cli()));
  clusters
    .command('show <name>')
    .description('show how it is reached, its pools and its nodes')
    .action(async (name: string) => show(cli(), await idOf(cli(), name)));
  clusters
    .command('register <name>')
    .description('register a Kubernetes cluster; credentials are named, never sent')
    .option('--kubeconfig <file>', 'file that the control plane reads')
    .option('--kube-context <name>', 'context in it (default: its current one)')
    .option('--in-cluster', 'by the service account of the pod that the control plane runs in')
    .option('--prefix <prefix>', 'namespaces of teams are PREFIX-TEAM (default: purser)')
    .option('--system-namespace <name>', "namespace of the installation's own objects (default: purser-system)")
    .option('--model-server-image <image>', 'image of the built-in model server, pinned by digest')
    .option('--router-cidr <cidrs...>', 'address blocks whence routers reach replicas')
    .option('--pool <pools...>', 'name, name:spot, name:on_demand:label=value (default: one pool, any node)')
    .option('--rent <sources...>', RENT)
    .action((name: string, options: RegisterOptions) => register(cli(), name, options));
  clusters
    .command('update <name>')
    .description('change how it is reached, what it is told, or its pools; what is left out stays')
    .option('--kubeconfig <file>', 'file that the control plane reads from now on')
    .option('--kube-context <name>', 'context in it (default: its current one)')
    .option('--in-cluster', 'by the service account of the pod that the control plane runs in')
    .option('--model-server-image <image>', 'image of the built-in model server, pinned by digest')
    .option('--router-cidr <cidrs...>', 'address blocks whence routers reach replicas: all of them')
    .option('--router-namespace <name>', 'namespace of routers that run there')
    .option('--pool <pools...>', 'pools to add or change: name, name:spot, name:on_demand:label=value')
    .option('--rent <sources...>', `${RENT}: all of them`)
    .option('--remove-pool <names...>', 'pools to take out once nothing is placed there')
    .action(async (name: string, options: UpdateOptions) => {
      const edit = editOf(options);
      await update(cli(), name, { cluster: await idOf(cli(), name), ...edit });
    });
  addPoolCommands(clusters, cli);
  clusters
    .command('cordon <name>')
    .description('place nothing new there; --undo allows it again')
    .option('--undo', 'allow it again')
    .action((name: string, options: { undo?: boolean }) => cordon(cli(), name, options.undo !== true));
  clusters
    .command('lost <name>')
    .description('say that it will not come back: what is wished there goes elsewhere, within the policy of each deployment')
    .option('--undo', 'it is back')
    .action((name: string, options: { undo?: boolean }) => declareLost(cli(), name, options.undo !== true));
  clusters
    .command('remove <name>')
    .description('forget it once nothing is wished or left there')
    .action((name: string) => remove(cli(), name));
  clusters
    .command('rebuild <name>')
    .description('tell it everything again, from the database alone')
    .option('--plan', 'show what would be told and change nothing')
    .action((name: string, options: { plan?: boolean }) => rebuild(cli(), name, options.plan === true));
  clusters
    .command('approve-removals <name> <digest>')
    .description('let go what it runs and the database does not know')
    .action((name: string, digest: string) => approve(cli(), name, digest));
}

function addPoolCommands(clusters: Command, cli: () => Cli): void {
  clusters
    .command('scale-pool <name> <pool>')
    .description('let a pool grow for replicas that fit no node, and give back nodes that nothing runs on')
    .requiredOption('--provider <name>', 'who rents its machines, as configured')
    .option('--min <nodes>', 'never fewer', '0')
    .requiredOption('--max <nodes>', 'never more')
    .option('--setting <settings...>', "the provider's own, NAME=VALUE: instanceType, region, idleSeconds …")
    .action(async (name: string, pool: string, options: ScalingOptions) =>
      setScaling(cli(), await poolIdOf(cli(), name, pool), options),
    );
  clusters
    .command('resume-growth <name> <pool>')
    .description('let a pool grow on that was held for growing too fast: see why it grew first')
    .option('--all', 'all pools together, where these are held')
    .action(async (name: string, pool: string, options: { all?: boolean }) =>
      resumeGrowth(cli(), await poolIdOf(cli(), name, pool), options.all === true),
    );
}

type Row = ClustersQuery['clusters']['nodes'][number];

async function allClusters({ client }: Cli): Promise<readonly Row[]> {
  const api = client();
  return allNodes(async (after) => (await api.request(Clusters, { after })).clusters);
}

const named = async (cli: Cli, name: string) => found((await cli.client().request(NamedCluster, { name })).cluster, 'cluster');

const idOf = async (cli: Cli, name: string): Promise<string> => (await named(cli, name)).id;

async function poolIdOf(cli: Cli, cluster: string, pool: string): Promise<string> {
  const { pools } = await named(cli, cluster);
  return found(
    pools.find(({ name }) => name === pool),
    'pool',
  ).id;
}

async function list(cli: Cli): Promise<void> {
  const rows = await allClusters(cli);
  cli.output.result(rows, () =>
    [
      table(
        ['cluster', 'kind', 'pools', 'new replicas', 'seen'],
        rows.map((row) => [
          row.name,
          row.kind,
          row.pools.map(({ name }) => name).join(' '),
          row.cordoned ? 'no' : 'yes',
          seenOf(row),
        ]),
      ),
      ...rows.flatMap(heldLines),
    ].join('\n'),
  );
}

function seenOf({ status }: Row): string {
  const reachable = status.conditions.find(({ type }) => type === 'Reachable');
  if (!reachable) return 'not yet';
  return reachable.status === 'True' ? 'yes' : `no: ${reachable.message}`;
}

async function cordon(cli: Cli, name: string, cordoned: boolean): Promise<void> {
  const input = { cluster: await idOf(cli, name), cordoned };
  const { cordonCluster } = await cli.client().request(CordonCluster, { input, idempotencyKey: randomUUID() });
  refuse(cordonCluster.userErrors);
  cli.output.result(cordonCluster.cluster, () => (cordoned ? `${name} takes nothing new.` : `${name} takes replicas again.`));
}

async function declareLost(cli: Cli, name: string, lost: boolean): Promise<void> {
  const input = { cluster: await idOf(cli, name), lost };
  const { declareClusterLost } = await cli.client().request(DeclareClusterLost, { input, idempotencyKey: randomUUID() });
  refuse(declareClusterLost.userErrors);
  cli.output.result(declareClusterLost.cluster, () => (lost ? `${name} is given up.` : `${name} takes replicas again.`));
}

async function remove(cli: Cli, name: string): Promise<void> {
  const input = { cluster: await idOf(cli, name) };
  const { removeCluster } = await cli.client().request(RemoveCluster, { input, idempotencyKey: randomUUID() });
  refuse(removeCluster.userErrors);
  cli.output.result({ removedId: removeCluster.removedId }, () => `${name} is forgotten.`);
}

async function rebuild(cli: Cli, name: string, dryRun: boolean): Promise<void> {
  const input = { cluster: await idOf(cli, name) };
  const idempotencyKey = dryRun ? null : randomUUID();
  const { rebuildCluster } = await cli.client().request(RebuildCluster, { input, dryRun, idempotencyKey });
  refuse(rebuildCluster.userErrors);
  cli.output.result(rebuildCluster, () => rebuildText(rebuildCluster, name, dryRun));
}

function rebuildText({ actions }: RebuildClusterMutation['rebuildCluster'], name: string, dryRun: boolean): string {
  const lines = (actions ?? []).map(({ message }) => `- ${message}`);
  const seen = actions ? [] : [`${name} cannot be seen now; it is told everything once it can.`];
  return [...lines, ...seen, dryRun ? `Next: purser clusters rebuild ${name}` : `${name} is told everything again.`].join('\n');
}

async function approve(cli: Cli, name: string, digest: string): Promise<void> {
  const input = { cluster: await idOf(cli, name), digest };
  const { approveRemovals } = await cli.client().request(ApproveRemovals, { input, idempotencyKey: randomUUID() });
  refuse(approveRemovals.userErrors);
  cli.output.result(approveRemovals.cluster, () => `What ${name} runs and the database does not know is removed.`);
}
