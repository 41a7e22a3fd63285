import { z } from 'zod';
import type { CheckFinding } from '../cloud-check.port.ts';
import { findingOf, focusFinding, Lacking } from '../rest-finding.adapter.ts';
import type { GcpApi } from './gcp-api.adapter.ts';
import type { GcpBillingPrices } from './gcp-billing-prices.adapter.ts';
import type { GcpSettings } from './gcp-settings.adapter.ts';
import type { PreemptionNotices } from './preemption-notices.adapter.ts';

/** What the verbs of pools do. */
const GROUP_PERMISSIONS = [
  ...['create', 'delete', 'get', 'list', 'update'].map((verb) => `compute.instanceGroupManagers.${verb}`),
  ...['create', 'useReadOnly'].map((verb) => `compute.instanceTemplates.${verb}`),
  ...['compute.instances.create', 'compute.instances.delete', 'compute.instances.get', 'compute.zoneOperations.list'],
];
const CLUSTER_PERMISSIONS = ['get', 'update'].map((verb) => `container.clusters.${verb}`).concat('container.operations.get');
/** Of those that a region limits. */
const METRICS = ['CPUS', 'PREEMPTIBLE_CPUS', 'NVIDIA_L4_GPUS', 'NVIDIA_T4_GPUS', 'NVIDIA_A100_GPUS'];

const Project = z.object({ displayName: z.string().default(''), state: z.string() });
const Granted = z.object({ permissions: z.array(z.string()).default([]) });
const Region = z.object({ quotas: z.array(z.object({ metric: z.string(), limit: z.number(), usage: z.number() })).default([]) });

export interface GcpCheckDeps {
  readonly api: GcpApi;
  readonly settings: GcpSettings;
  readonly prices: GcpBillingPrices;
  readonly notices: PreemptionNotices;
}

/** Looks whether a project can be used: asks without changing anything. */
export class GcpCheck {
  readonly #deps: GcpCheckDeps;

  constructor(deps: GcpCheckDeps) {
    this.#deps = deps;
  }

  check(): Promise<CheckFinding[]> {
    const { settings, prices, notices } = this.#deps;
    return Promise.all([
      findingOf('credentials', () => this.#credentials()),
      findingOf('permissions', () => this.#permissions()),
      ...settings.regions.map((region) => findingOf('quota', () => this.#quota(region))),
      findingOf('notices', async () => `Preemptions can be read; ${(await notices.open()).length} are open.`),
      findingOf('prices', () => prices.probe()),
      settings.bill ? focusFinding(settings.bill.file) : Promise.resolve(NO_BILL),
    ]);
  }

  async #credentials(): Promise<string> {
    const { api, settings } = this.#deps;
    const { displayName, state } = await api.client('resourceManager').ask({ path: api.project }, Project);
    if (state !== 'ACTIVE') throw new Lacking(`Project ${settings.projectId} is ${state}: restore it.`);
    return `Project ${settings.projectId}${displayName ? ` (${displayName})` : ''}.`;
  }

  async #permissions(): Promise<string> {
    const { api, settings } = this.#deps;
    const permissions = [...GROUP_PERMISSIONS, ...(settings.clusters.length > 0 ? CLUSTER_PERMISSIONS : [])];
    const call = { method: 'POST', path: `${api.project}:testIamPermissions`, body: { permissions }, isRead: true } as const;
    const granted = await api.client('resourceManager').ask(call, Granted);
    const missing = permissions.filter((one) => !granted.permissions.includes(one));
    if (missing.length > 0) throw new Lacking(`Not allowed: ${missing.join(', ')}: grant a role that has them.`);
    return 'Pools can be made, scaled and given back.';
  }

  async #quota(region: string): Promise<string> {
    const { api } = this.#deps;
    const { quotas } = await api.client('compute').ask({ path: `${api.project}/regions/${region}` }, Region);
    const known = quotas.filter(({ metric, limit }) => METRICS.includes(metric) && limit > 0);
    const words = known.map(({ metric, usage, limit }) => `${usage} of ${limit} ${metric}`).join(', ');
    if (!known.some(({ metric, usage, limit }) => metric.endsWith('CPUS') && usage < limit))
      throw new Lacking(`${region}: no CPU is free (${words}): ask for a higher quota.`);
    return `${region}: in use: ${words}.`;
  }
}

const NO_BILL: CheckFinding = {
  ...{ aspect: 'bill', status: 'unknown' },
  message: 'No bill is named: export it from BigQuery as FOCUS, and name the file in `bill`.',
};
