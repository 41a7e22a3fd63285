import { access } from 'node:fs/promises';
import type { CheckAspect, CheckFinding } from '../cloud-check.port.ts';
import type { AwsApi } from './aws-api.adapter.ts';
import { AwsRefusal, isDenied, wordsOf } from './aws-errors.ts';
import type { AwsSettings } from './aws-settings.adapter.ts';

/** Services that are the same everywhere are asked here. */
const HOME = 'us-east-1';

/** Limits on vCPUs that run at once, by the code of Service Quotas. */
const QUOTAS = [
  { code: 'L-1216C47A', what: 'standard on demand' },
  { code: 'L-34B43A08', what: 'standard spot' },
  { code: 'L-DB2E81BA', what: 'G on demand' },
  { code: 'L-3819A6DF', what: 'G spot' },
  { code: 'L-417A185B', what: 'P on demand' },
  { code: 'L-7212CCBC', what: 'P spot' },
] as const;

/** Looks whether an account can be used: asks without changing anything. */
export class AwsCheck {
  readonly #api: AwsApi;
  readonly #settings: AwsSettings;

  constructor(api: AwsApi, settings: AwsSettings) {
    this.#api = api;
    this.#settings = settings;
  }

  async check(): Promise<CheckFinding[]> {
    const { regions, notices } = this.#settings;
    const findings = await Promise.all([
      found('credentials', () => this.#credentials()),
      ...regions.map((region) => found('permissions', () => this.#permissions(region))),
      ...regions.map((region) => found('quota', () => this.#quota(region))),
      ...notices.map(({ region, queueUrl }) => found('notices', () => this.#queue(region, queueUrl))),
      found('prices', () => this.#prices()),
      this.#bill(),
    ]);
    return notices.length === 0 ? [...findings, NO_QUEUE] : findings;
  }

  async #credentials(): Promise<string> {
    const { sdk, client } = await this.#api.open('sts', HOME);
    const command = new sdk.GetCallerIdentityCommand({});
    const { Account, Arn } = await this.#api.ask('GetCallerIdentity', (abortSignal) => client.send(command, { abortSignal }));
    return `Account ${Account ?? '?'}, as ${Arn ?? '?'}.`;
  }

  /** Tried without effect: EC2 says what it would have done. */
  async #permissions(region: string): Promise<string> {
    const { sdk, client } = await this.#api.open('ec2', region);
    const [LaunchTemplateName, LaunchTemplateData] = ['purser-check', { InstanceType: 't3.micro' as const }];
    const create = new sdk.CreateLaunchTemplateCommand({ LaunchTemplateName, LaunchTemplateData, DryRun: true });
    await dry(this.#api.ask('CreateLaunchTemplate', (abortSignal) => client.send(create, { abortSignal })));
    const templates = new sdk.DescribeLaunchTemplatesCommand({ DryRun: true });
    await dry(this.#api.ask('DescribeLaunchTemplates', (abortSignal) => client.send(templates, { abortSignal })));
    const instances = new sdk.DescribeInstancesCommand({ DryRun: true });
    await dry(this.#api.ask('DescribeInstances', (abortSignal) => client.send(instances, { abortSignal })));
    return `${region}: pools can be made and seen. Whether machines may be started shows with the first one.`;
  }

  async #quota(region: string): Promise<string> {
    const { sdk, client } = await this.#api.open('serviceQuotas', region);
    const values = await Promise.all(
      QUOTAS.map(async ({ code, what }) => {
        const command = new sdk.GetServiceQuotaCommand({ ServiceCode: 'ec2', QuotaCode: code });
        const send = (abortSignal: AbortSignal) => client.send(command, { abortSignal });
        const { Quota } = await this.#api.ask('GetServiceQuota', send);
        return { what, value: Quota?.Value ?? 0 };
      }),
    );
    const words = values.map(({ what, value }) => `${value} ${what}`).join(', ');
    if (values.every(({ value }) => value === 0))
      throw new Lacking(`${region}: no vCPU may run (${words}): ask for a higher quota.`);
    return `${region}: vCPUs that may run: ${words}.`;
  }

  async #queue(region: string, queueUrl: string): Promise<string> {
    const { sdk, client } = await this.#api.open('sqs', region);
    const command = new sdk.GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ['ApproximateNumberOfMessages'] });
    const send = (abortSignal: AbortSignal) => client.send(command, { abortSignal });
    const { Attributes = {} } = await this.#api.ask('GetQueueAttributes', send);
    return `${region}: the queue is there, with ${Attributes['ApproximateNumberOfMessages'] ?? '?'} messages.`;
  }

  async #prices(): Promise<string> {
    const { sdk, client } = await this.#api.open('pricing', HOME);
    const command = new sdk.GetProductsCommand({ ServiceCode: 'AmazonEC2', MaxResults: 1 });
    await this.#api.ask('GetProducts', (abortSignal) => client.send(command, { abortSignal }));
    return 'The price list answers.';
  }

  async #bill(): Promise<CheckFinding> {
    const { bill } = this.#settings;
    if (bill.from === 'cost-explorer')
      return { aspect: 'bill', status: 'unknown', message: 'Cost Explorer was not asked: each question costs a cent.' };
    try {
      await access(bill.file);
      return { aspect: 'bill', status: 'ok', message: `The FOCUS file ${bill.file} is there.` };
    } catch {
      return { aspect: 'bill', status: 'failed', message: `The FOCUS file ${bill.file} cannot be read: export it there.` };
    }
  }
}

const NO_QUEUE: CheckFinding = {
  ...{ aspect: 'notices', status: 'unknown' },
  message: 'No queue is named: spot machines go without notice. Let EventBridge fill a queue, and name it in `notices`.',
};

/** The account could be asked, and lacks something. */
class Lacking extends Error {
  override readonly name = 'Lacking';
}

/** The answer of a dry run that would have worked is an error of its own. */
async function dry(asked: Promise<unknown>): Promise<void> {
  try {
    await asked;
  } catch (error) {
    if (!(error instanceof AwsRefusal) || error.code !== 'DryRunOperation') throw error;
  }
}

async function found(aspect: CheckAspect, look: () => Promise<string>): Promise<CheckFinding> {
  try {
    return { aspect, status: 'ok', message: await look() };
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if (error instanceof Lacking) return { aspect, status: 'failed', message: error.message };
    if (isDenied(cause)) return { aspect, status: 'failed', message: `Not allowed: ${wordsOf(cause)}` };
    if (error instanceof AwsRefusal) return { aspect, status: 'failed', message: `${error.code}: ${error.message}` };
    return { aspect, status: 'unknown', message: wordsOf(error) };
  }
}
