import { z } from 'zod';
import type { Clock } from '../../kernel/clock.ts';
import type { Random } from '../../kernel/random.ts';
import { CloudUnknown, type CloudResult } from '../cloud-provider.port.ts';
import { RestClient, type RestAnswer, type RestCall } from '../rest-client.adapter.ts';
import { resultOf, type GcpRefusal } from './gcp-refusals.ts';
import type { GcpSettings } from './gcp-settings.adapter.ts';

const ENDPOINTS = {
  compute: 'https://compute.googleapis.com/compute/v1',
  container: 'https://container.googleapis.com/v1',
  billing: 'https://cloudbilling.googleapis.com/v1',
  resourceManager: 'https://cloudresourcemanager.googleapis.com/v3',
} as const;
export type GcpService = keyof typeof ENDPOINTS;

const SCOPE = 'https://www.googleapis.com/auth/cloud-platform';
/** Between two looks at a change that is going on. */
const POLL_MS = 1_000;

export interface GcpOptions {
  readonly settings: GcpSettings;
  readonly clock: Clock;
  readonly random: Random;
  /** Where sign-in comes from; without it, the library's default chain. */
  readonly token?: (() => Promise<string>) | undefined;
  readonly pause?: ((ms: number) => Promise<void>) | undefined;
}

/** `going`: it was taken up and is not done yet. `absent`: there is no such thing. `exists`: there is one already. */
export type GcpOutcome = 'done' | 'going' | 'absent' | 'exists' | Extract<CloudResult, { outcome: 'refused' }>;

const Refused = z.object({
  error: z.object({
    message: z.string().default('without words'),
    status: z.string().optional(),
    errors: z.array(z.object({ reason: z.string().optional() })).optional(),
  }),
});
const Reason = z.object({ code: z.union([z.string(), z.number()]).transform(String), message: z.string().default('') });
/** Of Compute: `error.errors`; of GKE: `error`. */
const Operation = z.object({
  name: z.string(),
  status: z.string(),
  error: z.union([z.object({ errors: z.array(Reason).min(1) }), Reason]).nullish(),
});
type Operation = z.infer<typeof Operation>;

/** The APIs of one project; changes are operations, which may go on for minutes. */
export class GcpApi {
  readonly project: string;
  readonly clock: Clock;
  readonly #settings: GcpSettings;
  readonly #clients: Readonly<Record<GcpService, RestClient>>;

  constructor({ settings, clock, random, token = defaultToken(), pause }: GcpOptions) {
    const { endpoints, deadlineMs } = settings;
    const client = (service: GcpService): RestClient =>
      new RestClient({
        ...{ endpoint: endpoints[service] ?? ENDPOINTS[service], token, random, limits: { timeoutMs: deadlineMs } },
        ...(pause ? { pause } : {}),
      });
    this.#clients = {
      ...{ compute: client('compute'), container: client('container') },
      ...{ billing: client('billing'), resourceManager: client('resourceManager') },
    };
    this.project = `/projects/${settings.projectId}`;
    this.clock = clock;
    this.#settings = settings;
  }

  client(service: GcpService): RestClient {
    return this.#clients[service];
  }

  /** All pages of a list of Compute. */
  async pages<P extends { readonly nextPageToken?: string | undefined }>(call: RestCall, shape: z.ZodType<P>): Promise<P[]> {
    const next = ({ nextPageToken }: P): RestCall | null =>
      nextPageToken ? { ...call, query: { ...call.query, pageToken: nextPageToken } } : null;
    return this.#clients.compute.pages(call, shape, next);
  }

  /** A change, and what came of it as far as it shows soon. `operations`: where the service keeps its operations. */
  async change(service: GcpService, call: RestCall, operations: string): Promise<GcpOutcome> {
    const answer = await this.#clients[service].send(call);
    if (answer.status === 404) return 'absent';
    if (answer.status > 299) return this.#refusal(call, answer);
    const read = Operation.safeParse(answer.body);
    if (!read.success) throw new CloudUnknown(`${call.path}: the answer is no operation`);
    return this.settle(service, `${operations}/${read.data.name}`, read.data);
  }

  /** Watches an operation for a while. */
  async settle(service: GcpService, path: string, first?: Operation): Promise<GcpOutcome> {
    const client = this.#clients[service];
    const until = this.clock.now() + this.#settings.settleMs;
    let operation = first ?? (await client.ask({ path }, Operation));
    while (operation.status !== 'DONE' && this.clock.now() < until) {
      await client.pause(POLL_MS);
      operation = await client.ask({ path }, Operation);
    }
    if (operation.status !== 'DONE') return 'going';
    return operation.error ? this.#resultOf(path, { status: 400, ...reasonOf(operation.error) }) : 'done';
  }

  #refusal(call: RestCall, { status, body }: RestAnswer): GcpOutcome {
    const read = Refused.safeParse(body);
    const told = read.success ? toldIn(read.data) : { code: `${status}`, message: 'without words' };
    if (status === 409 && /already ?exists/i.test(`${told.code} ${told.message}`)) return 'exists';
    return this.#resultOf(call.path, { status, ...told });
  }

  #resultOf(path: string, refusal: GcpRefusal): GcpOutcome {
    const result = resultOf(refusal);
    if (result) return result;
    throw new CloudUnknown(`${path}: ${refusal.code}: ${refusal.message}`);
  }
}

type Told = Pick<GcpRefusal, 'code' | 'message'>;

const toldIn = ({ error }: z.infer<typeof Refused>): Told => ({
  code: error.errors?.[0]?.reason ?? error.status ?? 'UNKNOWN',
  message: error.message,
});

const reasonOf = (error: NonNullable<Operation['error']>): Told =>
  ('errors' in error ? error.errors[0] : error) ?? { code: 'UNKNOWN', message: 'without words' };

/** Made at the first call: most installations have no project. */
function defaultToken(): () => Promise<string> {
  let auth: Promise<{ getAccessToken: () => Promise<string | null | undefined> }> | null = null;
  return async () => {
    auth ??= import('google-auth-library').then(({ GoogleAuth }) => new GoogleAuth({ scopes: [SCOPE] }));
    const token = await (await auth).getAccessToken();
    if (!token) throw new Error('the default chain of Google gave no token');
    return token;
  };
}
