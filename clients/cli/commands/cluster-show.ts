import { graphql } from '../../typescript/generated/gql.ts';
import type { ShowClusterQuery } from '../../typescript/generated/graphql.ts';
import type { Cli } from '../cli-context.ts';
import { table } from '../output.ts';
import { allNodes } from '../pages.ts';
import { found } from '../refusals.ts';

const ShowCluster = graphql(`
  query ShowCluster($id: ID!, $after: String) {
    node(id: $id) {
      __typename
      ... on Cluster {
        id
        name
        kind
        cordoned
        version
        createdAt
        config {
          access {
            inCluster
            file
            context
          }
          namespacePrefix
          systemNamespace
          modelServerImage
          routerCidrs
          routerNamespace
        }
        status {
          observedAt
          conditions {
            type
            status
            reason
            message
            lastTransitionTime
          }
        }
        heldRemovals {
          digest
          count
        }
        capacitySources {
          provider
          region
          zones
          maxNodes
        }
        pools {
          name
          capacityType
          nodeSelector {
            key
            value
          }
          scaling {
            provider
            minNodes
            maxNodes
            desiredNodes
            conditions {
              type
              status
              message
            }
          }
        }
        leavingPools {
          name
          capacityType
          scaling {
            desiredNodes
            conditions {
              status
              message
            }
          }
        }
        nodes(first: 100, after: $after) {
          nodes {
            name
            readiness
            schedulable
            notice
            instanceType
            capacityType
            pods
            pricePerHour {
              amount
            }
          }
          pageInfo {
            hasNextPage
            endCursor
          }
        }
      }
    }
  }
`);

type Shown = Extract<NonNullable<ShowClusterQuery['node']>, { readonly __typename: 'Cluster' }>;

export async function show(cli: Cli, id: string): Promise<void> {
  const api = cli.client();
  let shown: Shown | null = null;
  const nodes = await allNodes(async (after) => {
    const { node } = await api.request(ShowCluster, { id, after });
    const page = found(node?.__typename === 'Cluster' ? node : null, 'cluster');
    shown ??= page;
    return page.nodes;
  });
  const cluster = found<Shown>(shown, 'cluster');
  cli.output.result({ ...cluster, nodes }, () => shownText(cluster, nodes));
}

function shownText(cluster: Shown, nodes: Shown['nodes']['nodes']): string {
  const { config, status, pools } = cluster;
  const rows = [
    ['name', cluster.name],
    ['kind', cluster.kind],
    ['new replicas', cluster.cordoned ? 'no' : 'yes'],
    ...(config ? configRows(config) : []),
    ...cluster.capacitySources.map(sourceRow),
    ...status.conditions.map((one) => [one.type, `${one.status} (${one.reason}): ${one.message}`]),
  ];
  return [
    table(['setting', 'value'], rows),
    table(['pool', 'capacity', 'nodes with', 'scales'], pools.map(poolRow)),
    table(['node', 'is', 'type', 'pods', 'usd per hour'], nodes.map(nodeRow)),
    ...pools.flatMap(growthLines),
    ...cluster.leavingPools.map(leavingLine),
    ...heldLines(cluster),
  ].join('\n');
}

const configRows = ({ access, ...config }: NonNullable<Shown['config']>): string[][] => [
  ['reached by', access.inCluster ? 'the account of the pod' : `${access.file ?? ''} ${access.context ?? ''}`.trim()],
  ['namespaces', `${config.namespacePrefix}-TEAM, ${config.systemNamespace}`],
  ['model server', config.modelServerImage ?? 'none: no ONNX models there'],
  ['routers from', [config.routerNamespace, ...config.routerCidrs].join(' ')],
];

const sourceRow = ({ provider, region, zones, maxNodes }: Shown['capacitySources'][number]): string[] => [
  'may rent',
  [`${maxNodes} in ${region} from ${provider}`, ...(zones.length > 0 ? [`zones ${zones.join(', ')}`] : [])].join(', '),
];

const poolRow = ({ name, capacityType, nodeSelector, scaling }: Shown['pools'][number]): string[] => [
  name,
  capacityType,
  nodeSelector.map(({ key, value }) => `${key}=${value}`).join(',') || 'any',
  scaling ? `${scaling.minNodes} to ${scaling.maxNodes} by ${scaling.provider}, ${scaling.desiredNodes ?? 0} asked for` : 'no',
];

/** What keeps a pool from growing. */
const growthLines = ({ name, scaling }: Shown['pools'][number]): string[] =>
  (scaling?.conditions ?? [])
    .filter(({ type, status }) => type === 'Growing' && status === 'False')
    .map(({ message }) => `Pool ${name} does not grow: ${message}`);

const leavingLine = ({ name, scaling }: Shown['leavingPools'][number]): string => {
  const kept = scaling?.conditions.find(({ status }) => status === 'False');
  return [`Pool ${name} was taken out: ${scaling?.desiredNodes ?? 0} nodes left.`, ...(kept ? [kept.message] : [])].join(' ');
};

const nodeRow = ({ name, readiness, schedulable, notice, ...node }: Shown['nodes']['nodes'][number]): string[] => [
  name,
  [readiness, ...(schedulable ? [] : ['cordoned']), ...(notice === null ? [] : [notice])].join(', '),
  `${node.instanceType ?? '?'} ${node.capacityType}`,
  String(node.pods),
  node.pricePerHour?.amount ?? '?',
];

type Held = Pick<Shown, 'name' | 'heldRemovals'> & {
  readonly status: {
    readonly conditions: readonly { readonly type: string; readonly status: string; readonly message: string }[];
  };
};

/** What waits for a person, and how to let it go. */
export const heldLines = ({ name, status, heldRemovals }: Held): string[] => {
  const held = status.conditions.find(({ type, status: value }) => type === 'RemovalsHeld' && value === 'True');
  if (!held) return [];
  const next = heldRemovals ? [`Next, if they may go: purser clusters approve-removals ${name} ${heldRemovals.digest}`] : [];
  return ['', `${name}: ${held.message}`, ...next];
};
