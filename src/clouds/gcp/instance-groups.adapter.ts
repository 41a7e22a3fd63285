import { z } from 'zod';
import { CloudUnknown, type CloudNodePhase } from '../cloud-provider.port.ts';
import type { ListedMachine } from '../plan-scale.ts';
import type { GcpApi, GcpOutcome } from './gcp-api.adapter.ts';
import { lastOf, pathOf, type Marks } from './gcp-pool.ts';
import { scarcityOf } from './gcp-refusals.ts';

const PAGE = '500';

const Group = z.object({
  id: z.string(),
  name: z.string(),
  fingerprint: z.string(),
  targetSize: z.number().int().min(0),
  allInstancesConfig: z
    .object({ properties: z.object({ metadata: z.record(z.string(), z.string()).optional() }).optional() })
    .optional(),
});
export type Group = z.infer<typeof Group> & { readonly path: string };

const Failure = z.object({ code: z.string().default(''), message: z.string().default('') });
const Managed = z.object({
  instance: z.string(),
  instanceStatus: z.string().optional(),
  currentAction: z.string(),
  lastAttempt: z.object({ errors: z.object({ errors: z.array(Failure).default([]) }).optional() }).optional(),
});
const ManagedPage = z.object({ managedInstances: z.array(Managed).default([]), nextPageToken: z.string().optional() });
const Unfinished = z.object({
  items: z.array(z.object({ name: z.string(), targetLink: z.string().optional(), status: z.string() })).default([]),
  nextPageToken: z.string().optional(),
});

export interface GcpMachine extends ListedMachine {
  /** `zones/…/instances/…`. */
  readonly ref: string;
  /** The path of its group. */
  readonly group: string;
  /** Why it was not made. */
  readonly scarce: 'STOCK_OUT' | 'QUOTA' | null;
}

/** Managed instance groups, of one zone or of a region: what a pool's machines are in, whoever made the group. */
export class InstanceGroups {
  readonly #api: GcpApi;

  constructor(api: GcpApi) {
    this.#api = api;
  }

  /** Null = there is none. */
  async at(path: string): Promise<Group | null> {
    const found = await this.#api.client('compute').askIfThere({ path }, Group);
    return found && { ...found, path };
  }

  async machines(path: string): Promise<GcpMachine[]> {
    const call = { method: 'POST', path: `${path}/listManagedInstances`, query: { maxResults: PAGE }, isRead: true } as const;
    const pages = await this.#api.pages(call, ManagedPage);
    const byName = new Map(pages.flatMap(({ managedInstances }) => managedInstances).map((one) => [lastOf(one.instance), one]));
    return [...byName].map(([name, one]) => ({
      ...{ instanceId: name, nodeName: name, since: null, group: path, ...lifeOf(one) },
      ref: pathOf(one.instance).replace(/^.*\/(zones\/)/, '$1'),
    }));
  }

  /** Waits for changes of the group that somebody asked for and nobody has an answer of. */
  async untilQuiet(path: string): Promise<void> {
    const operations = operationsOf(path);
    const call = { path: operations, query: { maxResults: PAGE, filter: 'status != DONE' } };
    const pages = await this.#api.pages(call, Unfinished);
    const mine = pages.flatMap(({ items }) => items).filter(({ targetLink = '' }) => pathOf(targetLink) === path);
    for (const { name } of mine)
      if ((await this.#api.settle('compute', `${operations}/${name}`)) === 'going')
        throw new CloudUnknown(`${path}: another change is going on`);
  }

  create(path: string, body: Readonly<Record<string, unknown>>): Promise<GcpOutcome> {
    return this.#api.change('compute', { method: 'POST', path: path.replace(/\/[^/]+$/, ''), body }, operationsOf(path));
  }

  /** Only if it is as it was when that was decided. */
  patch(
    { path, fingerprint, allInstancesConfig }: Group,
    change: { readonly marks: Marks } & Readonly<Record<string, unknown>>,
  ): Promise<GcpOutcome> {
    const { marks, ...more } = change;
    const metadata = { ...allInstancesConfig?.properties?.metadata, ...marks };
    const body = { ...more, fingerprint, allInstancesConfig: { properties: { metadata } } };
    return this.#api.change('compute', { method: 'PATCH', path, body }, operationsOf(path));
  }

  add({ path }: Group, names: readonly string[]): Promise<GcpOutcome> {
    const body = { instances: names.map((name) => ({ name })) };
    return this.#api.change('compute', { method: 'POST', path: `${path}/createInstances`, body }, operationsOf(path));
  }

  /** Those that are on their way out already change nothing. */
  release(path: string, machines: readonly GcpMachine[]): Promise<GcpOutcome> {
    const body = { instances: machines.map(({ ref }) => ref), skipInstancesOnValidationError: true };
    return this.#api.change('compute', { method: 'POST', path: `${path}/deleteInstances`, body }, operationsOf(path));
  }

  remove(path: string): Promise<GcpOutcome> {
    return this.#api.change('compute', { method: 'DELETE', path }, operationsOf(path));
  }
}

/** Of the same zone or region. */
const operationsOf = (path: string): string => path.replace(/\/instanceGroupManagers\/.*$/, '/operations');

type Life = Pick<GcpMachine, 'phase' | 'isBroken' | 'scarce'>;

function lifeOf({ currentAction, instanceStatus = '', lastAttempt }: z.infer<typeof Managed>): Life {
  const failures = lastAttempt?.errors?.errors ?? [];
  const scarce = failures.map(scarcityOf).find((one) => one !== null) ?? null;
  const phase = phaseOf(currentAction, instanceStatus);
  const isOff = /^(TERMINATED|STOPPED|SUSPENDED)$/.test(instanceStatus) || `${currentAction}${instanceStatus}` === 'NONE';
  // The group goes on trying for ever what could not be made.
  const isStuck = phase === 'starting' && failures.length > 0;
  return { phase, scarce, isBroken: phase !== 'stopping' && (isOff || isStuck) };
}

function phaseOf(action: string, status: string): CloudNodePhase {
  if (/^(DELETING|ABANDONING|STOPPING|SUSPENDING)$/.test(action) || /^(STOPPING|SUSPENDING)$/.test(status)) return 'stopping';
  return status === 'RUNNING' && !/^(CREATING|RECREATING)/.test(action) ? 'running' : 'starting';
}
