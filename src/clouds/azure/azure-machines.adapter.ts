import type { Clock } from '../../kernel/clock.ts';
import { MINUTE_MS, type Instant } from '../../kernel/instant.ts';
import {
  CloudUnknown,
  type CloudFence,
  type CloudInterruption,
  type CloudPool,
  type CloudPoolState,
  type CloudResult,
  type MachineProvider,
} from '../cloud-provider.port.ts';
import { MachineMemory } from '../machine-memory.ts';
import { LeftAlone, notOurs, refusedIfLeftAlone } from '../left-alone.ts';
import { isWanted, nameMachines, planScale, type ScalePlan } from '../plan-scale.ts';
import { AgentPools } from './agent-pools.adapter.ts';
import { ArmClient, POLL_MS, type ArmOptions } from './arm-client.adapter.ts';
import { epochOf, isOf, missingOf, settingOf, tagsFor, type AzureMachine, type AzurePool } from './azure-pool.ts';
import type { AzurePools, PoolChange } from './azure-pools.port.ts';
import { TAG, type Tags } from './pool-names.ts';
import { SpotNotices } from './spot-notices.adapter.ts';
import { ScaleSets } from './scale-sets.adapter.ts';

export interface AzureMachinesOptions extends ArmOptions {
  /** What pools call it. */
  readonly name: string;
}

/**
 * A settled pool that lists fewer machines than it was told to have is believed after so long: until then they may only not be listed yet. Higher:
 * machines that Azure took away are asked for anew later; lower: a list that lags makes Azure choose whom to take.
 */
const LAG_MS = 2 * MINUTE_MS;

type Wish = { readonly desired: number; readonly release: readonly string[] };

/** Machines of Azure: agent pools of AKS where a pool names a cluster, else scale sets. */
export class AzureMachines implements MachineProvider {
  readonly name: string;
  readonly #clock: Clock;
  readonly #arm: ArmClient;
  readonly #kinds: readonly [AgentPools, ScaleSets];
  readonly #notices: SpotNotices;
  readonly #memory = new MachineMemory();
  /** Where a pool was found last: it is looked for there first. */
  readonly #known = new Map<string, Pick<AzurePool, 'kind' | 'path'>>();
  /** By path: since when a settled pool lists fewer machines than it was told to have. */
  readonly #lacking = new Map<string, Instant>();

  constructor(options: AzureMachinesOptions, arm = new ArmClient(options)) {
    this.name = options.name;
    this.#clock = options.clock;
    this.#arm = arm;
    this.#kinds = [new AgentPools(arm, options.settings), new ScaleSets(arm, options.settings)];
    this.#notices = new SpotNotices(arm);
  }

  ensurePool(pool: CloudPool, fence: CloudFence): Promise<CloudResult> {
    return refusedIfLeftAlone(() => this.#ensure(pool, fence));
  }

  async #ensure(pool: CloudPool, fence: CloudFence): Promise<CloudResult> {
    const [listed, ...others] = this.#single(pool.key, await this.#all(pool.key));
    const kind = this.#kindFor(pool);
    const paths = kind.pathsFor(pool, this.#clock.now());
    if (typeof paths === 'string') return invalid(paths);
    // Made by a call whose answer was lost, and by its repeat before lists showed it.
    for (const one of others) await this.#kindOf(one).remove(one);
    const found = listed ?? (await this.#unlisted(pool.key, [paths.now, paths.before], kind));
    const tags = tagsFor(pool, fence);
    if (found) return this.#describe(await this.#settled(found), pool, tags);
    const outcome = await kind.create(pool, paths.now, tags);
    if (outcome === 'absent') return invalid(`there is no place for ${pool.key}: no such resource group or cluster`);
    return typeof outcome === 'string' ? this.#knows(pool.key, { kind: kind.kind, path: paths.now }) : outcome;
  }

  scalePool(key: string, wish: Wish, fence: CloudFence): Promise<CloudResult> {
    return refusedIfLeftAlone(() => this.#scale(key, wish, fence));
  }

  async #scale(key: string, wish: Wish, fence: CloudFence): Promise<CloudResult> {
    const seen = await this.#find(key);
    if (!seen) return noSuchPool(key);
    if (epochOf(seen) > fence.epoch) return STALE;
    const found = await this.#withoutFailure(seen);
    const machines = await this.#kindOf(found).machines(found);
    const plan = planScale({ machines, coming: this.#comingTo(found, machines), wish });
    if (plan.kind === 'refuse') return nameMachines(plan.left, wish.desired);
    await this.#raise(found, fence);
    const released = await this.#release({ key, found, machines, plan });
    if (released !== 'done' && released !== 'going') return resultOf(released);
    if (plan.grow === 0) return ACCEPTED;
    // Azure counts machines that leave until they are gone: a new size now could take others instead.
    if (released === 'going' || machines.some(({ phase }) => phase === 'stopping'))
      throw new CloudUnknown(`machines of ${key} are still leaving; the wish has to be said again`);
    return this.#grow({ found, wish, fence, had: machines.filter(isWanted).length - plan.release.length });
  }

  outOfReach(pool: Pick<CloudPool, 'config'>): string | null {
    return this.#kindFor(pool).outOfReach(pool);
  }

  deletePool(key: string, fence: CloudFence): Promise<CloudResult> {
    return refusedIfLeftAlone(() => this.#delete(key, fence));
  }

  async #delete(key: string, fence: CloudFence): Promise<CloudResult> {
    const listed = await this.#all(key);
    // One that was just made: lists do not show it yet.
    const hint = this.#known.get(key);
    const made = hint && !listed.some(({ path }) => isSamePath(path, hint.path)) ? await this.#kindOf(hint).at(hint.path) : null;
    const all = made && isOf(made, key) && made.state !== 'deleting' ? [...listed, made] : listed;
    if (all.some((one) => epochOf(one) > fence.epoch)) return STALE;
    for (const one of all) {
      const removed = await this.#kindOf(one).remove(one);
      if (typeof removed !== 'string') return removed;
    }
    this.#known.delete(key);
    this.#memory.forget(key);
    return ACCEPTED;
  }

  async observeNodes(key: string): Promise<CloudPoolState | null> {
    const found = await this.#find(key);
    if (!found) {
      this.#memory.forget(key);
      return null;
    }
    const machines = await this.#kindOf(found).machines(found);
    const desired = machines.filter(isWanted).length + this.#comingTo(found, machines);
    return { desired, nodes: this.#memory.complete(key, machines, this.#clock.now()) };
  }

  interruptions(): Promise<readonly CloudInterruption[]> {
    return this.#notices.open(this.#clock.now());
  }

  /** Machines that were wished for and are not listed. Of a pool that failed none come by themselves any more. */
  #comingTo(found: AzurePool, machines: readonly AzureMachine[]): number {
    const missing = missingOf(found, machines);
    if (found.state !== 'settled' || missing === 0) this.#lacking.delete(found.path);
    if (found.state !== 'settled') return found.state === 'changing' ? missing : 0;
    if (missing === 0) return 0;
    const now = this.#clock.now();
    const since = this.#lacking.get(found.path) ?? now;
    this.#lacking.set(found.path, since);
    return now - since < LAG_MS ? missing : 0;
  }

  /** Before anything else is done, so that no earlier leader undoes it. */
  async #raise(found: AzurePool, { epoch }: CloudFence): Promise<void> {
    if (epochOf(found) >= epoch) return;
    const raised = await this.#kindOf(found).raise(found, { [TAG.epoch]: String(epoch) });
    if (raised !== 'done')
      throw new CloudUnknown(`who leads ${found.path} is not written down yet; the wish has to be said again`);
  }

  async #describe(found: AzurePool, pool: CloudPool, tags: Tags): Promise<CloudResult> {
    const epoch = Number(tags[TAG.epoch]);
    if (epochOf(found) > epoch) return STALE;
    this.#knows(pool.key, found);
    const isTold = epochOf(found) === epoch && found.tags[TAG.description] === tags[TAG.description];
    return isTold ? ACCEPTED : changedOf(await this.#kindOf(found).describe(found, pool, tags));
  }

  /** A pool that was just made: lists do not show it yet. */
  async #unlisted(key: string, names: readonly string[], kind: AzurePools): Promise<AzurePool | null> {
    const hint = this.#known.get(key);
    for (const path of [...(hint?.kind === kind.kind ? [hint.path] : []), ...names]) {
      const made = await kind.at(path);
      if (made && !isOf(made, key)) throw notOurs(path, { name: TAG.pool, value: key });
      if (made && made.state !== 'deleting') return made;
    }
    return null;
  }

  /** A pool that is still being made refuses machines: it is waited for a while. */
  async #settled(made: AzurePool): Promise<AzurePool> {
    const until = this.#clock.now() + this.#arm.settleMs;
    let found = made;
    while (found.state === 'changing' && this.#clock.now() < until) {
      await this.#arm.rest.pause(POLL_MS);
      found = (await this.#kindOf(made).at(made.path)) ?? found;
    }
    return found;
  }

  #knows(key: string, { kind, path }: Pick<AzurePool, 'kind' | 'path'>): CloudResult {
    this.#known.set(key, { kind, path });
    return ACCEPTED;
  }

  async #release(turn: {
    readonly key: string;
    readonly found: AzurePool;
    readonly machines: readonly AzureMachine[];
    readonly plan: Extract<ScalePlan, { kind: 'act' }>;
  }): Promise<PoolChange> {
    const { key, found, machines, plan } = turn;
    const named = machines.filter(({ instanceId }) => plan.release.includes(instanceId));
    if (named.length === 0) return 'done';
    const outcome = await this.#kindOf(found).release(found, named);
    this.#memory.leaving(key, plan.release);
    return outcome;
  }

  async #grow(turn: {
    readonly found: AzurePool;
    readonly wish: Wish;
    readonly fence: CloudFence;
    readonly had: number;
  }): Promise<CloudResult> {
    const { wish, fence, had } = turn;
    const kind = this.#kindOf(turn.found);
    // Giving machines back changed it.
    const found = await kind.at(turn.found.path);
    if (!found) throw new CloudUnknown('the pool went away meanwhile');
    const tags = { [TAG.epoch]: String(fence.epoch) };
    const outcome = changedOf(await kind.resize(found, wish.desired, tags));
    if (outcome.outcome !== 'refused' || outcome.reason !== 'STOCK_OUT') return outcome;
    await this.#giveUp(kind, found);
    // Some may have come and others not.
    const has = (await kind.machines(found)).filter(isWanted).length;
    return has > had ? ACCEPTED : outcome;
  }

  /** What failed after it was asked for is found when the pool is asked for something next. */
  async #withoutFailure(found: AzurePool): Promise<AzurePool> {
    if (found.state !== 'failed') return found;
    const kind = this.#kindOf(found);
    await this.#giveUp(kind, found);
    return (await kind.at(found.path)) ?? found;
  }

  /** So that what could not be had does not come later, when nobody counts on it: the pool is told to have what it has. */
  async #giveUp(kind: AzurePools, { path }: AzurePool): Promise<void> {
    const failed = await kind.at(path);
    const machines = failed ? await kind.machines(failed) : [];
    if (!failed || missingOf(failed, machines) === 0) return;
    // Two lists that agree: one that lags would make Azure take a machine.
    await this.#arm.rest.pause(POLL_MS);
    const again = await kind.machines(failed);
    if (again.length === machines.length) await kind.resize(failed, machines.length, {});
  }

  async #find(key: string): Promise<AzurePool | null> {
    const hint = this.#known.get(key);
    const there = hint && (await this.#kindOf(hint).at(hint.path));
    if (there && isOf(there, key)) return there.state === 'deleting' ? null : there;
    const [found = null] = this.#single(key, await this.#all(key));
    if (found) this.#knows(key, found);
    return found;
  }

  /** Of one that was made twice, the one with machines is the pool. Where both have some, none may be overlooked. */
  #single(key: string, all: readonly AzurePool[]): readonly AzurePool[] {
    const inUse = all.filter(({ count }) => count > 0);
    if (inUse.length > 1)
      throw new LeftAlone(
        `${key} is there ${inUse.length} times with machines: ${inUse.map(({ path }) => path).join(', ')}; delete all but one`,
      );
    return inUse[0] ? [inUse[0], ...all.filter((one) => one !== inUse[0])] : all;
  }

  /** The oldest first; one that is reported twice is one. Those that are on their way out are not there. */
  async #all(key: string): Promise<AzurePool[]> {
    const lists = await Promise.all(this.#kinds.map((kind) => kind.all()));
    const mine = lists.flat().filter((one) => isOf(one, key) && one.state !== 'deleting');
    const byPath = new Map(mine.map((one) => [one.path.toLowerCase(), one]));
    return [...byPath].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
  }

  #kindFor(pool: Pick<CloudPool, 'config'>): AzurePools {
    return settingOf(pool, 'cluster') === null ? this.#kinds[1] : this.#kinds[0];
  }

  #kindOf({ kind }: Pick<AzurePool, 'kind'>): AzurePools {
    return kind === 'agent-pool' ? this.#kinds[0] : this.#kinds[1];
  }
}

const isSamePath = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

const ACCEPTED: CloudResult = { outcome: 'accepted' };
const STALE: CloudResult = { outcome: 'stale_epoch' };

const invalid = (message: string): CloudResult => ({ outcome: 'refused', reason: 'INVALID', message, retryAfterMs: null });

const noSuchPool = (key: string): CloudResult => ({
  ...{ outcome: 'refused', reason: 'NO_SUCH_POOL', message: `there is no pool ${key}`, retryAfterMs: null },
});

/** What is not there any more was given back. */
const resultOf = (change: PoolChange): CloudResult => (typeof change === 'string' ? ACCEPTED : change);

function changedOf(change: PoolChange): CloudResult {
  if (change === 'absent') throw new CloudUnknown('the pool went away meanwhile');
  return resultOf(change);
}
