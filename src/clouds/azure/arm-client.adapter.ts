import { z } from 'zod';
import type { Clock } from '../../kernel/clock.ts';
import type { Random } from '../../kernel/random.ts';
import { CloudUnknown, type CloudResult } from '../cloud-provider.port.ts';
import { RestClient, type RestAnswer, type RestCall } from '../rest-client.adapter.ts';
import { resultOf, type AzureRefusal } from './azure-refusals.ts';
import type { AzureSettings } from './azure-settings.adapter.ts';

const ENDPOINT = 'https://management.azure.com';
/** Between two looks at a change that is going on, where Azure does not say. */
export const POLL_MS = 2_000;

export interface ArmOptions {
  readonly settings: AzureSettings;
  readonly clock: Clock;
  readonly random: Random;
  /** Where sign-in comes from; without it, the SDK's default chain. */
  readonly token?: (() => Promise<string>) | undefined;
  readonly pause?: ((ms: number) => Promise<void>) | undefined;
}

/** `going`: it was taken up and is not done yet. `absent`: there is no such thing. */
export type ArmOutcome = 'done' | 'going' | 'absent' | Extract<CloudResult, { outcome: 'refused' }>;

const Refusal = z.object({ code: z.string(), message: z.string() });
const Refused = z.union([z.object({ error: Refusal }).transform(({ error }) => error), Refusal]);
const Operation = z.object({ status: z.string(), error: Refusal.nullish() });

/** Azure Resource Manager: every path is below one subscription, every call names its version, and changes may go on for minutes. */
export class ArmClient {
  readonly rest: RestClient;
  readonly exact: RestClient;
  readonly subscription: string;
  readonly #clock: Clock;
  /** So long a change is watched, in ms. */
  readonly settleMs: number;

  constructor({ settings, clock, random, token = defaultToken(settings), pause }: ArmOptions) {
    const { subscriptionId, endpoints, deadlineMs, settleMs } = settings;
    const options = {
      ...{ endpoint: endpoints.management ?? ENDPOINT, token, random, limits: { timeoutMs: deadlineMs } },
      ...(pause ? { pause } : {}),
    };
    this.rest = new RestClient(options);
    this.exact = new RestClient({ ...options, numbersAsText: true });
    this.subscription = `/subscriptions/${subscriptionId}`;
    this.#clock = clock;
    this.settleMs = settleMs;
  }

  /** All items of a list; a page may be empty and still lead to others. */
  async list<T>(path: string, query: Readonly<Record<string, string>>, item: z.ZodType<T>): Promise<T[]> {
    const page = z.object({ value: z.array(item), nextLink: z.string().nullish() });
    const pages = await this.rest.pages({ path, query }, page, ({ nextLink }) => (nextLink ? { path: nextLink } : null));
    return pages.flatMap(({ value }) => value);
  }

  /** A change, and what came of it as far as it shows soon. */
  async change(call: RestCall): Promise<ArmOutcome> {
    const answer = await this.rest.send(call);
    if (answer.status === 404) return 'absent';
    if (answer.status > 299) return this.#refusal(call, answer);
    return this.#settle(call, answer);
  }

  #refusal(call: RestCall, { status, body }: RestAnswer): ArmOutcome {
    const read = Refused.safeParse(body);
    return this.#resultOf(call, { status, ...(read.success ? read.data : { code: `${status}`, message: 'without words' }) });
  }

  #resultOf(call: RestCall, refusal: AzureRefusal): ArmOutcome {
    const result = resultOf(refusal);
    if (result?.outcome === 'refused') return result;
    throw new CloudUnknown(`${call.method ?? 'GET'} ${call.path}: ${refusal.code}: ${refusal.message}`);
  }

  /** Watches a change for a while. */
  async #settle(call: RestCall, first: RestAnswer): Promise<ArmOutcome> {
    const operation = first.headers['azure-asyncoperation'];
    const address = operation ?? (first.status === 202 ? first.headers['location'] : undefined);
    if (address === undefined) return 'done';
    const until = this.#clock.now() + this.settleMs;
    for (let answer = first; ;) {
      const wait = Number(answer.headers['retry-after'] ?? Number.NaN) * 1_000;
      await this.rest.pause(Number.isFinite(wait) ? Math.min(wait, POLL_MS) : POLL_MS);
      answer = await this.rest.send({ path: address });
      const outcome = operation === undefined ? this.#byLocation(call, answer) : this.#byOperation(call, answer);
      if (outcome !== 'going' || this.#clock.now() >= until) return outcome;
    }
  }

  #byLocation(call: RestCall, answer: RestAnswer): ArmOutcome {
    if (answer.status === 202) return 'going';
    // A result that was fetched, or that nobody keeps: the change is through.
    return answer.status <= 299 || answer.status === 404 ? 'done' : this.#refusal(call, answer);
  }

  #byOperation(call: RestCall, answer: RestAnswer): ArmOutcome {
    const read = Operation.safeParse(answer.body);
    if (!read.success) throw new CloudUnknown(`${call.path}: nobody knows what became of the change (${answer.status})`);
    const { status, error } = read.data;
    if (status === 'Succeeded') return 'done';
    if (status !== 'Failed' && status !== 'Canceled') return 'going';
    return this.#resultOf(call, { status: 400, ...(error ?? { code: status, message: 'without words' }) });
  }
}

/** Made at the first call: the SDK is large, and most installations have no subscription. */
function defaultToken({ endpoints }: AzureSettings): () => Promise<string> {
  const scope = `${endpoints.management ?? ENDPOINT}/.default`;
  let credential: Promise<{ getToken: (scope: string) => Promise<{ readonly token: string } | null> }> | null = null;
  return async () => {
    credential ??= import('@azure/identity').then(({ DefaultAzureCredential }) => new DefaultAzureCredential());
    const token = await (await credential).getToken(scope);
    if (!token) throw new Error('the default chain of Azure gave no token');
    return token.token;
  };
}
