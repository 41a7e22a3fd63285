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
import { notOurs, refusedIfLeftAlone } from '../left-alone.ts';
import { isWanted, nameMachines, planScale } from '../plan-scale.ts';
import { GcpApi, type GcpOptions } from './gcp-api.adapter.ts';
import { epochOf, isOf, MARK, marksFor, ownerTag, settingOf, type GcpPool, type Marks } from './gcp-pool.ts';
import type { GcpPools, PoolChange } from './gcp-pools.port.ts';
import { resultOf as refusalOf } from './gcp-refusals.ts';
import { GroupPools } from './group-pools.adapter.ts';
import { InstanceGroups, type GcpMachine } from './instance-groups.adapter.ts';
import { NodePools } from './node-pools.adapter.ts';
import { PreemptionNotices } from './preemption-notices.adapter.ts';

export interface GcpMachinesOptions extends GcpOptions {
  /** What pools call it. */
  readonly name: string;
}

type Wish = { readonly desired: number; readonly release: readonly string[] };

/** Between two looks at a pool that is being changed. */
const POLL_MS = 1_000;

/** The machines of a pool, and how many are wished for that do not show. */
interface Members {
  readonly machines: readonly GcpMachine[];
  readonly coming: number;
}

/** Machines of Google Cloud: node pools of GKE where a pool names a cluster, else managed instance groups. */
export class GcpMachines implements MachineProvider {
  readonly name: string;
  readonly #api: GcpApi;
  readonly #settleMs: number;
  readonly #groups: InstanceGroups;
  readonly #kinds: readonly [NodePools, GroupPools];
  readonly #notices: PreemptionNotices;
  readonly #memory = new MachineMemory();

  constructor(options: GcpMachinesOptions, api = new GcpApi(options)) {
    this.name = options.name;
    this.#api = api;
    this.#settleMs = options.settings.settleMs;
    this.#groups = new InstanceGroups(api);
    this.#kinds = [new NodePools(api, options.settings), new GroupPools(api, this.#groups)];
    this.#notices = new PreemptionNotices(api);
  }

  ensurePool(pool: CloudPool, fence: CloudFence): Promise<CloudResult> {
    return refusedIfLeftAlone(() => this.#ensure(pool, fence));
  }

  async #ensure(pool: CloudPool, fence: CloudFence): Promise<CloudResult> {
    const marks = marksFor(pool, fence);
    const found = await this.#find(pool.key);
    if (found?.state === 'deleting') throw new CloudUnknown(`${pool.key} is still being deleted`);
    if (found) return this.#describe(await this.#settled(pool.key, found), pool, marks);
    const kind = settingOf(pool, 'cluster') === null ? this.#kinds[1] : this.#kinds[0];
    const made = await kind.create(pool, marks);
    // By a repeat; or by others.
    if (made === 'exists') await this.#find(pool.key);
    return madeOf(made, pool.key);
  }

  scalePool(key: string, wish: Wish, fence: CloudFence): Promise<CloudResult> {
    return refusedIfLeftAlone(() => this.#scale(key, wish, fence));
  }

  async #scale(key: string, wish: Wish, fence: CloudFence): Promise<CloudResult> {
    const seen = await this.#find(key);
    if (!seen || seen.state === 'deleting') return noSuchPool(key);
    if (epochOf(seen) > fence.epoch) return STALE;
    const found = await this.#settled(key, seen);
    for (const group of found.groups) await this.#groups.untilQuiet(group);
    const members = await this.#members(found);
    const plan = planScale({ ...members, wish });
    if (plan.kind === 'refuse') return nameMachines(plan.left, wish.desired);
    await this.#raise(key, found, fence);
    const released = await this.#release(
      key,
      found,
      members.machines.filter(({ instanceId }) => plan.release.includes(instanceId)),
    );
    if (typeof released !== 'string') return released;
    const scarce = members.machines.find((one) => one.scarce !== null && plan.release.includes(one.instanceId));
    // What an earlier wish could not get was given up just now; whoever still wants it asks again, later.
    if (scarce && plan.grow > 0) return scarcityOf(scarce);
    return plan.grow === 0 ? ACCEPTED : this.#grow({ key, found, wish, fence, more: plan.grow, before: members });
  }

  outOfReach(pool: Pick<CloudPool, 'config'>): string | null {
    return this.#kinds[0].outOfReach(pool);
  }

  deletePool(key: string, fence: CloudFence): Promise<CloudResult> {
    return refusedIfLeftAlone(() => this.#delete(key, fence));
  }

  async #delete(key: string, fence: CloudFence): Promise<CloudResult> {
    const found = await this.#find(key);
    if (found && epochOf(found) > fence.epoch) return STALE;
    const removed = found && found.state !== 'deleting' ? await this.#kindOf(found).remove(found) : 'absent';
    if (typeof removed === 'string') this.#memory.forget(key);
    return resultOf(removed);
  }

  async observeNodes(key: string): Promise<CloudPoolState | null> {
    const found = await this.#find(key);
    if (!found || found.state === 'deleting') {
      this.#memory.forget(key);
      return null;
    }
    const { machines, coming } = await this.#members(found);
    const nodes = this.#memory.complete(key, machines, this.#api.clock.now());
    return { desired: machines.filter(isWanted).length + coming, nodes };
  }

  interruptions(): Promise<readonly CloudInterruption[]> {
    return this.#notices.open();
  }

  async #describe(found: GcpPool, pool: CloudPool, marks: Marks): Promise<CloudResult> {
    if (epochOf(found) > Number(marks[MARK.epoch])) return STALE;
    const isTold = [MARK.epoch, MARK.description].every((mark) => found.marks[mark] === marks[mark]);
    return isTold ? ACCEPTED : changedOf(await this.#kindOf(found).describe(found, pool, marks));
  }

  /** Before anything else is done, so that no earlier leader undoes it. */
  async #raise(key: string, found: GcpPool, fence: CloudFence): Promise<void> {
    if (epochOf(found) >= fence.epoch) return;
    const raised = await this.#kindOf(found).raise(found, fence);
    if (raised !== 'done') throw new CloudUnknown(`who leads ${key} is not written down yet; the wish has to be said again`);
  }

  async #release(key: string, found: GcpPool, machines: readonly GcpMachine[]): Promise<PoolChange> {
    for (const group of found.groups) {
      const mine = machines.filter((one) => one.group === group);
      const outcome = mine.length > 0 ? await this.#groups.release(group, mine) : 'done';
      if (typeof outcome !== 'string') return outcome;
    }
    this.#memory.leaving(
      key,
      machines.map(({ instanceId }) => instanceId),
    );
    return 'done';
  }

  async #grow(turn: {
    readonly key: string;
    readonly found: GcpPool;
    readonly wish: Wish;
    readonly fence: CloudFence;
    readonly more: number;
    readonly before: Members;
  }): Promise<CloudResult> {
    const { key, found, wish, fence, more, before } = turn;
    const outcome = changedOf(await this.#kindOf(found).grow(found, { desired: wish.desired, more }, fence));
    if (outcome.outcome === 'refused' && outcome.reason !== 'STOCK_OUT' && outcome.reason !== 'QUOTA') return outcome;
    const known = before.machines.map(({ instanceId }) => instanceId);
    const fresh = (await this.#members(found)).machines.filter(({ instanceId }) => !known.includes(instanceId));
    const failed = fresh.filter(({ scarce }) => scarce !== null);
    const [first] = failed;
    if (!first) return fresh.some(isWanted) ? ACCEPTED : outcome;
    await this.#release(key, found, failed);
    // Some may have come and others not.
    return failed.length < fresh.length ? ACCEPTED : scarcityOf(first);
  }

  async #members({ groups }: GcpPool): Promise<Members> {
    const parts = await Promise.all(
      groups.map(async (path): Promise<Members> => {
        const [group, machines] = await Promise.all([this.#groups.at(path), this.#groups.machines(path)]);
        // Machines on their way out are not in the target.
        const staying = machines.filter(({ phase }) => phase !== 'stopping').length;
        return { machines, coming: Math.max(0, (group?.targetSize ?? 0) - staying) };
      }),
    );
    return { machines: parts.flatMap(({ machines }) => machines), coming: parts.reduce((sum, { coming }) => sum + coming, 0) };
  }

  /** A pool that is being changed refuses other changes: it is waited for a while. */
  async #settled(key: string, seen: GcpPool): Promise<GcpPool> {
    const until = this.#api.clock.now() + this.#settleMs;
    let found: GcpPool | null = seen;
    while (found?.state === 'changing' && this.#api.clock.now() < until) {
      await this.#api.client('container').pause(POLL_MS);
      found = await this.#kindOf(seen).find(key);
    }
    if (!found || found.state !== 'settled') throw new CloudUnknown(`${key} is still being changed`);
    return found;
  }

  /** Throws `LeftAlone` where others made what has its name. */
  async #find(key: string): Promise<GcpPool | null> {
    const found = (await Promise.all(this.#kinds.map((kind) => kind.find(key)))).filter((one) => one !== null);
    const own = found.find((one) => isOf(one, key));
    if (!own && found[0]) throw notOurs(found[0].path, ownerTag(key));
    return own ?? null;
  }

  #kindOf({ kind }: Pick<GcpPool, 'kind'>): GcpPools {
    return kind === 'node-pool' ? this.#kinds[0] : this.#kinds[1];
  }
}

const ACCEPTED: CloudResult = { outcome: 'accepted' };
const STALE: CloudResult = { outcome: 'stale_epoch' };

const noSuchPool = (key: string): CloudResult => ({
  ...{ outcome: 'refused', reason: 'NO_SUCH_POOL', message: `there is no pool ${key}`, retryAfterMs: null },
});

/** What is not there any more was given back; what exists already was made by a repeat. */
const resultOf = (change: PoolChange): CloudResult => (typeof change === 'string' ? ACCEPTED : change);

/** Where it should be made is nothing. */
const madeOf = (change: PoolChange, key: string): CloudResult =>
  change === 'absent'
    ? {
        outcome: 'refused',
        reason: 'INVALID',
        message: `there is no place for ${key}: no such cluster, zone or region`,
        retryAfterMs: null,
      }
    : resultOf(change);

function changedOf(change: PoolChange): CloudResult {
  if (change === 'absent') throw new CloudUnknown('the pool went away meanwhile');
  return resultOf(change);
}

const scarcityOf = ({ scarce, instanceId }: GcpMachine): CloudResult => {
  const code = scarce === 'QUOTA' ? 'QUOTA_EXCEEDED' : 'ZONE_RESOURCE_POOL_EXHAUSTED';
  return refusalOf({ status: 400, code, message: `${instanceId} could not be made` }) ?? ACCEPTED;
};
