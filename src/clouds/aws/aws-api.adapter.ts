import { CloudUnknown } from '../cloud-provider.port.ts';
import { refusalIn, wordsOf } from './aws-errors.ts';
import type { AwsService, AwsSettings } from './aws-settings.adapter.ts';

/**
 * How often the SDK sends one request. Pools: once, for the loop that asks is the retry, and a lost answer must be seen. Others: a catalogue
 * has hundreds of pages. Higher: a throttled account is asked the more; lower: one throttled page costs the whole reading.
 */
const POOL_ATTEMPTS = 1;
const READING_ATTEMPTS = 4;
/** Pages of one answer. Higher: a server that repeats itself is believed longer; lower: large catalogues look broken. */
const MAX_PAGES = 5_000;

const LOADERS = {
  ec2: async (options: Options) => {
    const sdk = await import('@aws-sdk/client-ec2');
    return { sdk, client: new sdk.EC2Client(options) };
  },
  autoScaling: async (options: Options) => {
    const sdk = await import('@aws-sdk/client-auto-scaling');
    return { sdk, client: new sdk.AutoScalingClient(options) };
  },
  eks: async (options: Options) => {
    const sdk = await import('@aws-sdk/client-eks');
    return { sdk, client: new sdk.EKSClient(options) };
  },
  sqs: async (options: Options) => {
    const sdk = await import('@aws-sdk/client-sqs');
    return { sdk, client: new sdk.SQSClient(options) };
  },
  sts: async (options: Options) => {
    const sdk = await import('@aws-sdk/client-sts');
    return { sdk, client: new sdk.STSClient(options) };
  },
  pricing: async (options: Options) => {
    const sdk = await import('@aws-sdk/client-pricing');
    return { sdk, client: new sdk.PricingClient(options) };
  },
  costExplorer: async (options: Options) => {
    const sdk = await import('@aws-sdk/client-cost-explorer');
    return { sdk, client: new sdk.CostExplorerClient(options) };
  },
  serviceQuotas: async (options: Options) => {
    const sdk = await import('@aws-sdk/client-service-quotas');
    return { sdk, client: new sdk.ServiceQuotasClient(options) };
  },
} as const satisfies Record<AwsService, (options: Options) => Promise<object>>;

interface Options {
  readonly region: string;
  readonly maxAttempts: number;
  readonly endpoint?: string;
}

type Opened = { [S in AwsService]: ReturnType<(typeof LOADERS)[S]> };
export type AwsClient<S extends AwsService> = Awaited<Opened[S]>;

/** A page of an answer, and what the next one is asked for with; empty or absent = there is none. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | undefined;
}

export type ApiUse = 'pools' | 'readings';

/** A signal that ends a request after so long. */
export type Deadline = (ms: number) => AbortSignal;

export interface AwsApiOptions {
  readonly use: ApiUse;
  /** By the clock of the machine, unless a test has another. */
  readonly deadline?: Deadline | undefined;
}

/** The SDK: loaded when a service is first used, one client per service and region, every request with a deadline. */
export class AwsApi {
  readonly #settings: AwsSettings;
  readonly #use: ApiUse;
  readonly #deadline: Deadline;
  readonly #clients = new Map<string, unknown>();

  constructor(settings: AwsSettings, { use, deadline }: AwsApiOptions) {
    this.#settings = settings;
    this.#use = use;
    this.#deadline = deadline ?? ((ms) => AbortSignal.timeout(ms));
  }

  open<S extends AwsService>(service: S, region: string): Opened[S] {
    const key = `${service}/${region}`;
    const known = this.#clients.get(key);
    if (known !== undefined) return known as Opened[S];
    const endpoint = this.#settings.endpoints[service] ?? this.#settings.endpoints.all;
    const maxAttempts = this.#use === 'pools' ? POOL_ATTEMPTS : READING_ATTEMPTS;
    const opened = LOADERS[service]({ region, maxAttempts, ...(endpoint === undefined ? {} : { endpoint }) }) as Opened[S];
    this.#clients.set(key, opened);
    return opened;
  }

  /** One request. Throws `AwsRefusal` where AWS said no, and `CloudUnknown` for everything else that is no answer. */
  async ask<T>(what: string, send: (abortSignal: AbortSignal) => Promise<T>): Promise<T> {
    try {
      const signal = this.#deadline(this.#settings.deadlineMs);
      return await within(signal, send(signal));
    } catch (error) {
      const refusal = refusalIn(error);
      if (refusal) throw refusal;
      throw new CloudUnknown(`AWS, ${what}: ${wordsOf(error)}`, { cause: error });
    }
  }

  /** All pages of an answer. One that leads to a page that was there already has no end: unknown. */
  async pages<T>(what: string, turn: (next: string | undefined, abortSignal: AbortSignal) => Promise<Page<T>>): Promise<T[]> {
    const items: T[] = [];
    const seen = new Set<string>();
    let next: string | undefined;
    do {
      const page = await this.ask(what, (signal) => turn(next, signal));
      items.push(...page.items);
      next = page.next === '' ? undefined : page.next;
      if (next === undefined) return items;
      if (seen.has(next)) throw new CloudUnknown(`AWS, ${what}: a page leads back to one before it`);
      seen.add(next);
    } while (seen.size < MAX_PAGES);
    throw new CloudUnknown(`AWS, ${what}: more than ${MAX_PAGES} pages`);
  }
}

/** The SDK ends requests by the signal, but not what comes before them: credentials that never come would never be given up. */
async function within<T>(signal: AbortSignal, answer: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const giveUp = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    return await Promise.race([answer, late]);
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}
