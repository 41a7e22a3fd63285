import { digestOfJson } from '../../kernel/digest.ts';
import type { CloudFence, CloudPool } from '../cloud-provider.port.ts';
import { epochIn } from '../left-alone.ts';
import type { ListedMachine } from '../plan-scale.ts';
import { installationIn } from '../pool-key.ts';
import { TAG, type Tags } from './pool-names.ts';

/** A pool as Azure shows it: an agent pool or a scale set. */
export interface AzurePool {
  readonly kind: 'agent-pool' | 'scale-set';
  /** Of its resource; also what it is compared by. */
  readonly path: string;
  readonly etag: string | null;
  /** `changing`: what it was told is not true yet. */
  readonly state: 'settled' | 'changing' | 'failed' | 'deleting';
  /** Machines as it was told last; those that Azure took away since may or may not count. */
  readonly count: number;
  readonly tags: Tags;
  /** Everything else, to be written back as it was. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** A machine with what it takes to give it back. */
export interface AzureMachine extends ListedMachine {
  /** As an agent pool calls it; or its number in the scale set. */
  readonly ref: string;
}

export const isOf = ({ tags }: AzurePool, key: string): boolean => tags[TAG.pool] === key;
export const epochOf = ({ tags, path }: AzurePool): number => epochIn(tags[TAG.epoch], path);

/** What a description and a leader leave on a pool. */
export const tagsFor = (pool: CloudPool, { epoch }: CloudFence): Tags => ({
  [TAG.pool]: pool.key,
  [TAG.installation]: installationIn(pool.key),
  [TAG.epoch]: String(epoch),
  [TAG.description]: digestOfJson({ ...pool, labels: { ...pool.labels }, config: { ...pool.config } }),
});

/** Machines that a pool was told to have and does not list. */
export const missingOf = ({ count }: AzurePool, machines: readonly ListedMachine[]): number =>
  Math.max(0, count - machines.length);

const STATES: Readonly<Record<string, AzurePool['state']>> = {
  ...{ succeeded: 'settled', failed: 'failed', canceled: 'failed', deleting: 'deleting' },
};

export const stateOf = (provisioningState: string): AzurePool['state'] => STATES[provisioningState.toLowerCase()] ?? 'changing';

/** A setting of the pool; null = it says nothing. */
export const settingOf = ({ config }: Pick<CloudPool, 'config'>, name: string): string | null => config[name]?.trim() || null;

/** Pools may name the region as decisions do, `azure/eastus`. */
export const bareRegion = (region: string): string => region.replace(/^azure\//, '');

/** Nodes say `eastus-1`, Azure `1`. */
export const zonesOf = ({ zone }: CloudPool): string[] => (zone ? [zone.split('-').at(-1) ?? zone] : []);
