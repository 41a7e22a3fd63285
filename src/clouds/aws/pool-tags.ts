import { digestOf } from '../../kernel/digest.ts';
import type { CloudPool } from '../cloud-provider.port.ts';
import { installationIn } from '../pool-key.ts';

/** Tags by which everything of a pool is found again. */
export const TAG = {
  /** The pool's key, on the launch template and on each machine. */
  pool: 'purser:pool',
  /** On everything of a pool: the id of the installation that made it. */
  installation: 'purser:installation',
  /** On the template: the highest epoch that changed the pool. */
  epoch: 'purser:epoch',
  /** On the template: digest of the description that its newest version was made from. */
  description: 'purser:description',
  /** On the template: the last batch of machines that was asked for, `<number>@<instant>`; on each machine: the number of its own. */
  batch: 'purser:batch',
  /** On the template, for node groups: `<cluster>/<node group>`. */
  nodeGroup: 'purser:node-group',
  /** On a machine: somebody will take it away (`open-notice.ts`). */
  notice: 'purser:notice',
} as const;

export type Tags = ReadonlyMap<string, string>;

export const tagsOf = (tags: readonly { readonly Key?: string | undefined; readonly Value?: string | undefined }[] = []): Tags =>
  new Map(tags.map(({ Key = '', Value = '' }) => [Key, Value]));

export const toTags = (tags: Readonly<Record<string, string>>): { Key: string; Value: string }[] =>
  Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));

/** On every machine and disk of a pool. */
export const instanceTags = (key: string): Record<string, string> => ({
  [TAG.pool]: key,
  [TAG.installation]: installationIn(key),
  Name: nameOf(key),
});

/** Of the launch template and of the node group: readable, and unique by the digest of the key; 63 characters at most. */
export const nameOf = (key: string): string => {
  const readable = key.replace(/[^A-Za-z0-9]+/g, '-').slice(0, 38);
  return `purser-${readable}-${digestOf(key).slice('sha256:'.length, 'sha256:'.length + 16)}`;
};

/** A batch of machines that was asked for. */
export interface Batch {
  readonly number: number;
  readonly askedAt: number;
}

export const batchText = ({ number, askedAt }: Batch): string => `${number}@${askedAt}`;

export function readBatch(text: string | undefined): Batch {
  const [, number, askedAt] = /^(\d{1,9})@(\d{1,15})$/.exec(text ?? '') ?? [];
  return { number: Number(number ?? 0), askedAt: Number(askedAt ?? 0) };
}

/** Whoever asks twice for the same batch of the same pool gets the same machines; a pool that was made again is another one. */
export const clientTokenOf = (templateId: string, batch: number): string =>
  digestOf(`${templateId}/${batch}`).slice('sha256:'.length);

/** The region as AWS writes it; pools may name it as decisions do, `aws/us-east-1`. */
export const bareRegion = (region: string): string => region.replace(/^aws\//, '');

/** A pool's own setting; null = it has none. */
export const settingOf = ({ config }: CloudPool, name: string): string | null => config[name]?.trim() || null;

export const listOf = (pool: CloudPool, name: string): string[] =>
  (settingOf(pool, name) ?? '')
    .split(',')
    .map((text) => text.trim())
    .filter(Boolean);

export const labelsText = ({ labels }: CloudPool): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join(',');
