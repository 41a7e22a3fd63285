import { digestOf, digestOfJson } from '../../kernel/digest.ts';
import type { CloudFence, CloudPool } from '../cloud-provider.port.ts';
import { epochIn, type OwnerTag } from '../left-alone.ts';
import { installationIn } from '../pool-key.ts';

/** What is remembered with a pool: of Google's labels and metadata, lower-case letters, digits and dashes. */
export const MARK = {
  /** Digest of the pool's key. */
  pool: 'purser-pool',
  /** The id of the installation that made it. */
  installation: 'purser-installation',
  /** The highest epoch that changed it. */
  epoch: 'purser-epoch',
  /** Digest of the description that it was last given. */
  description: 'purser-description',
  /** The highest number that a machine of the pool was named by. */
  named: 'purser-named',
} as const;

export type Marks = Readonly<Record<string, string>>;

/** A pool as Google shows it. */
export interface GcpPool {
  readonly kind: 'node-pool' | 'instance-group';
  readonly path: string;
  /** Of the managed instance groups that its machines are in. */
  readonly groups: readonly string[];
  /** `changing`: other changes are refused. */
  readonly state: 'settled' | 'changing' | 'deleting';
  /** Of the state that a change is decided on. */
  readonly etag: string;
  readonly marks: Marks;
}

const hashOf = (text: string, length: number): string => digestOf(text).slice('sha256:'.length, 'sha256:'.length + length);

/** Readable, and unique by the digest of the key; at most 40 characters. */
export function nameOf(key: string): string {
  const readable = key
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 22)
    .replace(/-+$/, '');
  return `purser-${readable}-${hashOf(key, 10)}`;
}

/** Of a pool's newest machines' template: another description has another name. */
export const templateNameOf = (pool: CloudPool): string => `${nameOf(pool.key)}-${hashOf(descriptionOf(pool), 8)}`;

const descriptionOf = (pool: CloudPool): string =>
  digestOfJson({ ...pool, labels: { ...pool.labels }, config: { ...pool.config } });

export const marksFor = (pool: CloudPool, { epoch }: CloudFence): Marks => ({
  ...ownerMarks(pool.key),
  [MARK.epoch]: String(epoch),
  [MARK.description]: hashOf(descriptionOf(pool), 32),
});

/** On everything of a pool. */
export const ownerMarks = (key: string): Marks => ({
  [MARK.pool]: hashOf(key, 32),
  [MARK.installation]: installationIn(key)
    .toLowerCase()
    .replace(/[^-a-z0-9]+/g, '-')
    .slice(0, 63),
});

export const ownerTag = (key: string): OwnerTag => ({ name: MARK.pool, value: hashOf(key, 32) });
export const isOf = ({ marks }: GcpPool, key: string): boolean => marks[MARK.pool] === hashOf(key, 32);
export const epochOf = ({ marks, path }: GcpPool): number => epochIn(marks[MARK.epoch], path);
export const settingOf = ({ config }: Pick<CloudPool, 'config'>, name: string): string | null => config[name]?.trim() || null;

/** Pools may name the region as decisions do, `gcp/us-central1`. */
export const bareRegion = (region: string): string => region.replace(/^gcp\//, '');

/**
 * Names of machines to be made: a repeat asks for the same ones until the number is raised. The group's own id is in them, so that a
 * pool that is made again has none of its old machines' names.
 */
export const machineNames = (turn: {
  readonly name: string;
  readonly groupId: string;
  readonly named: number;
  readonly count: number;
}): string[] =>
  Array.from(
    { length: turn.count },
    (_, n) => `${turn.name}-${hashOf(turn.groupId, 4)}-${(turn.named + 1 + n).toString(36).padStart(4, '0')}`,
  );

/** The last part of an address of Google. */
export const lastOf = (url: string): string => url.split('/').at(-1) ?? url;

/** `projects/…` of an address that names its host. */
export const pathOf = (url: string): string => {
  const at = url.indexOf('/projects/');
  return at < 0 ? url : url.slice(at);
};
