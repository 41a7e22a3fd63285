import { z } from 'zod';
import type { Instant } from '../../kernel/instant.ts';
import type { CloudInterruption } from '../cloud-provider.port.ts';
import type { ArmClient } from './arm-client.adapter.ts';
import { machineIdOf, TAG } from './pool-names.ts';
import { COMPUTE_VERSION, listMachines } from './scale-set-machines.adapter.ts';

/** Resource Graph over all machines of the subscription; what is older than an hour has long had its effect. */
const QUERY = [
  'HealthResources',
  "where type =~ 'microsoft.resourcehealth/resourceannotations'",
  "where properties.annotationName =~ 'VirtualMachinePreempted'",
  'where todatetime(properties.occurredTime) > ago(1h)',
  'project id, target = tostring(properties.targetResourceId), occurredAt = tostring(properties.occurredTime)',
  'order by id asc',
].join(' | ');
/** From an eviction notice to the end of the machine, at the least. */
const NOTICE_MS = 30_000;

const Annotations = z.object({
  data: z.array(z.object({ target: z.string(), occurredAt: z.string() })),
  $skipToken: z.string().nullish(),
});
const Owner = z.object({ tags: z.record(z.string(), z.string()).nullish() });

/**
 * Spot machines that Azure said it takes. Scheduled events are told inside each machine only; for the whole subscription Azure tells them as health
 * annotations, which come late: after, not before, the thirty seconds that a machine is given.
 */
export class SpotNotices {
  readonly #arm: ArmClient;

  constructor(arm: ArmClient) {
    this.#arm = arm;
  }

  async open(now: Instant): Promise<CloudInterruption[]> {
    const noticed = new Map<string, Instant>();
    const scaleSets = new Set<string>();
    for (const { target, occurredAt } of await this.#annotations()) {
      const id = machineIdOf(target);
      if (id === null) continue;
      noticed.set(id, Math.min(noticed.get(id) ?? Infinity, Date.parse(occurredAt) || now));
      scaleSets.add(target.replace(/\/virtualMachines\/[^/]+$/i, ''));
    }
    const lists = await Promise.all([...scaleSets].map((path) => this.#machinesOf(path)));
    return lists.flat().flatMap(({ instanceId, nodeName }) => {
      const noticedAt = noticed.get(instanceId);
      if (noticedAt === undefined) return [];
      return [{ instanceId, nodeName, noticedAt, goneAt: noticedAt + NOTICE_MS, message: 'Azure takes this spot machine back.' }];
    });
  }

  async #annotations(): Promise<{ target: string; occurredAt: string }[]> {
    const callOf = (token: string | null) => ({
      ...({ method: 'POST', path: '/providers/Microsoft.ResourceGraph/resources', isRead: true } as const),
      query: { 'api-version': '2021-03-01' },
      body: {
        ...{ subscriptions: [this.#arm.subscription.split('/').at(-1)], query: QUERY },
        options: { resultFormat: 'objectArray', ...(token ? { $skipToken: token } : {}) },
      },
    });
    const pages = await this.#arm.rest.pages(callOf(null), Annotations, ({ $skipToken }) =>
      $skipToken ? callOf($skipToken) : null,
    );
    return pages.flatMap(({ data }) => data);
  }

  /** Of a pool of ours, as long as they are listed. */
  async #machinesOf(scaleSet: string): Promise<Awaited<ReturnType<typeof listMachines>>> {
    const query = { 'api-version': COMPUTE_VERSION };
    const owner = await this.#arm.rest.askIfThere({ path: scaleSet, query }, Owner);
    return owner?.tags?.[TAG.pool] === undefined ? [] : listMachines(this.#arm, scaleSet);
  }
}
