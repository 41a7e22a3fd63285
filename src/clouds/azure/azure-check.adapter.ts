import { z } from 'zod';
import type { CheckFinding } from '../cloud-check.port.ts';
import { findingOf, focusFinding, Lacking } from '../rest-finding.adapter.ts';
import type { ArmClient } from './arm-client.adapter.ts';
import type { AzureRetailPrices } from './azure-retail-prices.adapter.ts';
import type { AzureSettings } from './azure-settings.adapter.ts';
import { COMPUTE_VERSION } from './scale-set-machines.adapter.ts';
import type { SpotNotices } from './spot-notices.adapter.ts';
import type { BillSource } from '../bill.port.ts';
import type { Clock } from '../../kernel/clock.ts';
import { DAY_MS } from '../../kernel/instant.ts';
import { matchesStars } from '../../kernel/star-pattern.ts';

const AGENT_POOLS = 'Microsoft.ContainerService/managedClusters/agentPools';
const SCALE_SETS = 'Microsoft.Compute/virtualMachineScaleSets';
/** What the verbs of pools do. */
const AGENT_POOL_ACTIONS = ['read', 'write', 'delete', 'deleteMachines/action', 'machines/read'].map(
  (verb) => `${AGENT_POOLS}/${verb}`,
);
const SCALE_SET_ACTIONS = ['read', 'write', 'delete', 'delete/action', 'virtualMachines/read'].map(
  (verb) => `${SCALE_SETS}/${verb}`,
);

const Subscription = z.object({ displayName: z.string(), state: z.string() });
const Permission = z.object({ actions: z.array(z.string()).default([]), notActions: z.array(z.string()).default([]) });
const Usage = z.object({ name: z.object({ value: z.string() }), currentValue: z.number(), limit: z.number() });

export interface AzureCheckDeps {
  readonly arm: ArmClient;
  readonly settings: AzureSettings;
  readonly prices: AzureRetailPrices;
  readonly notices: SpotNotices;
  readonly bill: BillSource;
  readonly clock: Clock;
}

/** Looks whether a subscription can be used: asks without changing anything. */
export class AzureCheck {
  readonly #deps: AzureCheckDeps;

  constructor(deps: AzureCheckDeps) {
    this.#deps = deps;
  }

  check(): Promise<CheckFinding[]> {
    const { settings, prices, notices, clock } = this.#deps;
    const { clusters, scaleSets, regions } = settings;
    return Promise.all([
      findingOf('credentials', () => this.#credentials()),
      ...clusters.map(({ resourceGroup }) =>
        findingOf('permissions', () => this.#permissions(resourceGroup, AGENT_POOL_ACTIONS)),
      ),
      ...(scaleSets ? [findingOf('permissions', () => this.#permissions(scaleSets.resourceGroup, SCALE_SET_ACTIONS))] : []),
      ...regions.map((region) => findingOf('quota', () => this.#quota(region))),
      findingOf(
        'notices',
        async () => `Evictions can be read, minutes late; ${(await notices.open(clock.now())).length} are open.`,
      ),
      findingOf('prices', () => prices.probe()),
      this.#bill(),
    ]);
  }

  async #credentials(): Promise<string> {
    const { arm } = this.#deps;
    const { displayName, state } = await arm.rest.ask(
      { path: arm.subscription, query: { 'api-version': '2022-12-01' } },
      Subscription,
    );
    if (state !== 'Enabled' && state !== 'Warned') throw new Lacking(`Subscription ${displayName} is ${state}: enable it.`);
    return `Subscription ${displayName}.`;
  }

  async #permissions(resourceGroup: string, needed: readonly string[]): Promise<string> {
    const { arm } = this.#deps;
    const path = `${arm.subscription}/resourceGroups/${resourceGroup}/providers/Microsoft.Authorization/permissions`;
    const granted = await arm.list(path, { 'api-version': '2022-04-01' }, Permission);
    const missing = needed.filter((action) => !granted.some((one) => allows(one, action)));
    if (missing.length > 0)
      throw new Lacking(`${resourceGroup}: not allowed: ${missing.join(', ')}: grant a role that has them.`);
    return `${resourceGroup}: pools can be made, scaled and given back.`;
  }

  async #quota(region: string): Promise<string> {
    const { arm } = this.#deps;
    const path = `${arm.subscription}/providers/Microsoft.Compute/locations/${region}/usages`;
    const usages = await arm.list(path, { 'api-version': COMPUTE_VERSION }, Usage);
    const words = ['cores', 'lowPriorityCores'].map((name) => {
      const usage = usages.find((one) => one.name.value === name);
      return { name: name === 'cores' ? 'on demand' : 'spot', used: usage?.currentValue ?? 0, limit: usage?.limit ?? 0 };
    });
    const text = words.map(({ name, used, limit }) => `${used} of ${limit} ${name}`).join(', ');
    if (words.every(({ used, limit }) => used >= limit))
      throw new Lacking(`${region}: no core is free (${text}): ask for a higher quota.`);
    return `${region}: cores in use: ${text}.`;
  }

  #bill(): Promise<CheckFinding> {
    const { settings, bill, clock } = this.#deps;
    if (settings.bill.from === 'focus') return focusFinding(settings.bill.file);
    return findingOf('bill', async () => {
      const now = clock.now();
      const { lines } = await bill.fetchBill(now - 2 * DAY_MS, now - DAY_MS);
      return `Cost Management answers: ${lines.length} lines for the day before yesterday.`;
    });
  }
}

/** A star stands for anything; letters are alike, large or small. */
const matches = (pattern: string, action: string): boolean => matchesStars(pattern.toLowerCase(), action.toLowerCase());

const allows = ({ actions, notActions }: z.infer<typeof Permission>, action: string): boolean =>
  actions.some((one) => matches(one, action)) && !notActions.some((one) => matches(one, action));
