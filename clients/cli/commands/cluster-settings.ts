import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { graphql } from '../../typescript/generated/gql.ts';
import type {
  CapacitySourceInput,
  PoolInput,
  RegisterClusterInput,
  UpdateClusterInput,
} from '../../typescript/generated/graphql.ts';
import type { Cli } from '../cli-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { wholeNumber } from '../output.ts';
import { refuse } from '../refusals.ts';

const RegisterCluster = graphql(`
  mutation RegisterCluster($input: RegisterClusterInput!, $idempotencyKey: String) {
    registerCluster(input: $input, idempotencyKey: $idempotencyKey) {
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

const UpdateCluster = graphql(`
  mutation UpdateCluster($input: UpdateClusterInput!, $idempotencyKey: String) {
    updateCluster(input: $input, idempotencyKey: $idempotencyKey) {
      cluster {
        id
        name
        version
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const SetPoolScaling = graphql(`
  mutation SetPoolScaling($input: SetPoolScalingInput!, $idempotencyKey: String) {
    setPoolScaling(input: $input, idempotencyKey: $idempotencyKey) {
      pool {
        id
        name
        scaling {
          provider
          minNodes
          maxNodes
          version
        }
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

const ResumePoolGrowth = graphql(`
  mutation ResumePoolGrowth($input: ResumePoolGrowthInput!, $idempotencyKey: String) {
    resumePoolGrowth(input: $input, idempotencyKey: $idempotencyKey) {
      pool {
        id
        name
      }
      userErrors {
        ...Refusal
      }
    }
  }
`);

export async function resumeGrowth(cli: Cli, pool: string, all: boolean): Promise<void> {
  const { resumePoolGrowth } = await cli
    .client()
    .request(ResumePoolGrowth, { input: { pool, all }, idempotencyKey: randomUUID() });
  refuse(resumePoolGrowth.userErrors);
  cli.output.result(resumePoolGrowth.pool, () => (all ? 'All pools may grow again.' : 'It may grow again.'));
}

interface AccessOptions {
  readonly kubeconfig?: string;
  readonly kubeContext?: string;
  readonly inCluster?: boolean;
}

export interface RegisterOptions extends AccessOptions {
  readonly prefix?: string;
  readonly systemNamespace?: string;
  readonly modelServerImage?: string;
  readonly routerCidr?: string[];
  readonly pool?: string[];
  readonly rent?: string[];
}

export interface UpdateOptions extends AccessOptions {
  readonly modelServerImage?: string;
  readonly routerCidr?: string[];
  readonly routerNamespace?: string;
  readonly pool?: string[];
  readonly removePool?: string[];
  readonly rent?: string[];
}

export async function register({ client, output }: Cli, name: string, options: RegisterOptions): Promise<void> {
  const { prefix, systemNamespace, modelServerImage, routerCidr, pool, rent } = options;
  const input: RegisterClusterInput = {
    name,
    access: accessOf(options),
    ...(prefix === undefined ? {} : { namespacePrefix: prefix }),
    ...(systemNamespace === undefined ? {} : { systemNamespace }),
    ...(modelServerImage === undefined ? {} : { modelServerImage }),
    ...(routerCidr === undefined ? {} : { routerCidrs: routerCidr }),
    ...(pool === undefined ? {} : { pools: pool.map(poolOf) }),
    ...rentedAt(rent),
  };
  const { registerCluster } = await client().request(RegisterCluster, { input, idempotencyKey: randomUUID() });
  refuse(registerCluster.userErrors);
  output.result(registerCluster.cluster, () => `${name} is registered. Next: purser clusters list`);
}

export interface ScalingOptions {
  readonly provider: string;
  readonly min: string;
  readonly max: string;
  readonly setting?: string[];
}

/** Says how few and how many nodes a pool may have, and who rents them. */
export async function setScaling({ client, output }: Cli, pool: string, options: ScalingOptions): Promise<void> {
  const { provider, setting = [] } = options;
  const [minNodes, maxNodes] = [wholeNumber('--min', options.min), wholeNumber('--max', options.max)];
  const settings = setting.map((text) => {
    const { key: name, value } = labelOf(text, 'a setting of the provider, NAME=VALUE');
    return { name, value };
  });
  const input = { pool, provider, minNodes, maxNodes, settings };
  const { setPoolScaling } = await client().request(SetPoolScaling, { input, idempotencyKey: randomUUID() });
  refuse(setPoolScaling.userErrors);
  output.result(setPoolScaling.pool, () => `It has between ${minNodes} and ${maxNodes} nodes, rented by ${provider}.`);
}

export type ClusterEdit = Omit<UpdateClusterInput, 'cluster'>;

/** A flag that was not given is not sent: what it is about stays as it is. */
export function editOf(options: UpdateOptions): ClusterEdit {
  const { modelServerImage, routerCidr, routerNamespace, pool = [], removePool = [], rent } = options;
  const isReachedAnew = [options.kubeconfig, options.inCluster, options.kubeContext].some((one) => one !== undefined);
  const edit = {
    ...(isReachedAnew ? { access: accessOf(options) } : {}),
    ...(modelServerImage === undefined ? {} : { modelServerImage }),
    ...(routerCidr === undefined ? {} : { routerCidrs: routerCidr }),
    ...(routerNamespace === undefined ? {} : { routerNamespace }),
    ...(pool.length === 0 ? {} : { pools: pool.map(poolOf) }),
    ...(removePool.length === 0 ? {} : { removePools: removePool }),
    ...rentedAt(rent),
  };
  if (Object.keys(edit).length > 0) return edit;
  throw new CommandFailure('Say what shall change: see purser clusters update --help.', EXIT.USAGE);
}

export async function update({ client, output }: Cli, name: string, input: UpdateClusterInput): Promise<void> {
  const { updateCluster } = await client().request(UpdateCluster, { input, idempotencyKey: randomUUID() });
  refuse(updateCluster.userErrors);
  output.result(updateCluster.cluster, () => `${name} is changed. Next: purser clusters show ${name}`);
}

function accessOf({ kubeconfig, kubeContext, inCluster = false }: AccessOptions): RegisterClusterInput['access'] {
  if ((kubeconfig === undefined) !== inCluster)
    throw new CommandFailure('Give --kubeconfig FILE or --in-cluster, one of the two.', EXIT.USAGE);
  if (kubeconfig === undefined) return { inCluster: true };
  return { kubeconfig: { file: resolve(kubeconfig), ...(kubeContext === undefined ? {} : { context: kubeContext }) } };
}

const CAPACITIES = { on_demand: 'ON_DEMAND', spot: 'SPOT', reserved: 'RESERVED' } as const;

function poolOf(text: string): PoolInput {
  const [name = '', capacity = 'on_demand', ...labels] = text.split(':');
  const capacityType = Object.entries(CAPACITIES).find(([word]) => word === capacity)?.[1];
  const nodeSelector = labels
    .join(':')
    .split(',')
    .filter(Boolean)
    .map((label) => labelOf(label));
  if (!capacityType) throw new CommandFailure(`--pool "${text}": "${capacity}" must be on_demand, spot or reserved.`, EXIT.USAGE);
  return { name, capacityType, nodeSelector };
}

const rentedAt = (rent: readonly string[] | undefined) => (rent === undefined ? {} : { capacitySources: rent.map(sourceOf) });

/** `aws/us-east-1:10=aws,image=ami-1`. */
function sourceOf(text: string): CapacitySourceInput {
  const match = /^([^:=]+)(?::(\d+))?=([^,]+)((?:,[^,=]+=[^,]*)*)$/.exec(text);
  if (!match) throw new CommandFailure(`--rent "${text}" must be REGION[:MAX]=PROVIDER[,SETTING=VALUE…].`, EXIT.USAGE);
  const [, region = '', max, provider = '', settings = ''] = match;
  const pairs = settings
    .split(',')
    .filter(Boolean)
    .map((pair) => labelOf(pair, 'a setting of the provider, NAME=VALUE'));
  return { region, provider, settings: pairs, ...(max === undefined ? {} : { maxNodes: wholeNumber('--rent', max) }) };
}

function labelOf(text: string, what = 'a label of nodes, KEY=VALUE'): { key: string; value: string } {
  const [key = '', ...rest] = text.split('=');
  const value = rest.join('=');
  if (rest.length === 0) throw new CommandFailure(`"${text}" must be ${what}.`, EXIT.USAGE);
  return { key, value };
}
