import type { LaunchTemplate, RequestLaunchTemplateData } from '@aws-sdk/client-ec2';
import { CloudUnknown } from '../cloud-provider.port.ts';
import { epochIn, notOurs } from '../left-alone.ts';
import { installationIn } from '../pool-key.ts';
import type { AwsApi } from './aws-api.adapter.ts';
import { AwsRefusal } from './aws-errors.ts';
import { nameOf, readBatch, TAG, tagsOf, toTags, type Batch, type Tags } from './pool-tags.ts';

/** What is known of a pool without looking at its machines. */
export interface PoolRecord {
  readonly key: string;
  readonly region: string;
  /** Of the launch template; another one each time that the pool is made. */
  readonly templateId: string;
  readonly version: number;
  readonly epoch: number;
  readonly description: string;
  readonly batch: Batch;
  /** Null = plain instances. */
  readonly nodeGroup: { readonly cluster: string; readonly name: string } | null;
}

export interface NewPool {
  readonly region: string;
  readonly key: string;
  readonly data: RequestLaunchTemplateData;
  readonly tags: Readonly<Record<string, string>>;
}

/**
 * A pool is a launch template named after its key: what its machines are, and in its tags what must outlive this process. Template names are
 * unique in a region, so that a pool cannot be made twice.
 */
export class AwsPoolRecords {
  readonly #api: AwsApi;
  readonly #regions: readonly string[];
  /** Where pools were found: only a hint of where to look first. */
  readonly #regionOf = new Map<string, string>();

  constructor(api: AwsApi, regions: readonly string[]) {
    this.#api = api;
    this.#regions = regions;
  }

  get regions(): readonly string[] {
    return this.#regions;
  }

  async find(key: string): Promise<PoolRecord | null> {
    const hint = this.#regionOf.get(key);
    const regions = hint === undefined ? this.#regions : [hint, ...this.#regions.filter((region) => region !== hint)];
    for (const region of regions) {
      const record = await this.#findIn(region, key);
      if (record) {
        this.#regionOf.set(key, region);
        return record;
      }
    }
    return null;
  }

  /** A pool that somebody made meanwhile, or that does not show yet, is unknown: the next look finds it. */
  async create({ region, key, data, tags }: NewPool): Promise<PoolRecord> {
    const { sdk, client } = await this.#api.open('ec2', region);
    const own = { ...tags, [TAG.pool]: key, [TAG.installation]: installationIn(key) };
    const command = new sdk.CreateLaunchTemplateCommand({
      LaunchTemplateName: nameOf(key),
      LaunchTemplateData: data,
      TagSpecifications: [{ ResourceType: 'launch-template', Tags: toTags(own) }],
    });
    try {
      const made = await this.#api.ask('CreateLaunchTemplate', (abortSignal) => client.send(command, { abortSignal }));
      const record = toRecord({ ...made.LaunchTemplate, Tags: toTags(own) }, region);
      if (record) return record;
    } catch (error) {
      if (!(error instanceof AwsRefusal) || error.code !== 'InvalidLaunchTemplateName.AlreadyExistsException') throw error;
    }
    throw new CloudUnknown(`AWS: the pool ${key} was made and does not show yet`);
  }

  /** Machines that run keep the version that they were started with. */
  async describe({ region, templateId }: PoolRecord, data: RequestLaunchTemplateData): Promise<void> {
    const { sdk, client } = await this.#api.open('ec2', region);
    const command = new sdk.CreateLaunchTemplateVersionCommand({ LaunchTemplateId: templateId, LaunchTemplateData: data });
    await this.#api.ask('CreateLaunchTemplateVersion', (abortSignal) => client.send(command, { abortSignal }));
  }

  async tag({ region, templateId }: PoolRecord, tags: Readonly<Record<string, string>>): Promise<void> {
    const { sdk, client } = await this.#api.open('ec2', region);
    const command = new sdk.CreateTagsCommand({ Resources: [templateId], Tags: toTags(tags) });
    await this.#api.ask('CreateTags', (abortSignal) => client.send(command, { abortSignal }));
  }

  /** Remembers the highest epoch that changed the pool. */
  async raise(record: PoolRecord, epoch: number): Promise<void> {
    if (epoch > record.epoch) await this.tag(record, { [TAG.epoch]: String(epoch) });
  }

  async remove({ region, templateId }: PoolRecord): Promise<void> {
    const { sdk, client } = await this.#api.open('ec2', region);
    const command = new sdk.DeleteLaunchTemplateCommand({ LaunchTemplateId: templateId });
    await this.#api.ask('DeleteLaunchTemplate', (abortSignal) => client.send(command, { abortSignal }));
  }

  /** Throws `LeftAlone` where the pool's name is another's. */
  async #findIn(region: string, key: string): Promise<PoolRecord | null> {
    const { sdk, client } = await this.#api.open('ec2', region);
    const templates = await this.#api.pages('DescribeLaunchTemplates', async (next, abortSignal) => {
      const filters = [{ Name: 'launch-template-name', Values: [nameOf(key)] }];
      const command = new sdk.DescribeLaunchTemplatesCommand({ Filters: filters, NextToken: next });
      const { LaunchTemplates = [], NextToken } = await client.send(command, { abortSignal });
      return { items: LaunchTemplates, next: NextToken };
    });
    const own = templates.map((template) => toRecord(template, region)).find((record) => record?.key === key);
    if (!own && templates.length > 0) throw notOurs(`the launch template ${nameOf(key)}`, { name: TAG.pool, value: key });
    return own ?? null;
  }
}

function toRecord(template: LaunchTemplate, region: string): PoolRecord | null {
  const { LaunchTemplateId, LatestVersionNumber } = template;
  const tags = tagsOf(template.Tags);
  const key = tags.get(TAG.pool);
  if (LaunchTemplateId === undefined || key === undefined) return null;
  return {
    ...{ key, region, templateId: LaunchTemplateId, version: LatestVersionNumber ?? 1 },
    epoch: epochIn(tags.get(TAG.epoch), `the launch template ${nameOf(key)}`),
    description: tags.get(TAG.description) ?? '',
    batch: readBatch(tags.get(TAG.batch)),
    nodeGroup: nodeGroupIn(tags),
  };
}

function nodeGroupIn(tags: Tags): PoolRecord['nodeGroup'] {
  const [cluster, name] = (tags.get(TAG.nodeGroup) ?? '').split('/');
  return cluster && name ? { cluster, name } : null;
}
