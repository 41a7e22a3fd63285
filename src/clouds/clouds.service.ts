import { mayDo, PLATFORM } from '../identity/authorize.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Instant } from '../kernel/instant.ts';
import { scopeOf, type Principal } from '../kernel/principal.ts';
import type { Database } from '../persistence/database.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Bill } from './bill.port.ts';
import type { CheckFinding } from './cloud-check.port.ts';
import { CloudUnknown } from './cloud-provider.port.ts';
import type { ConfiguredCloud } from './configured-cloud.ts';
import type { FeedAge, FeedAges } from './feed-ages.port.ts';
import type { RentedPools } from './rented-pools.port.ts';

/** A provider that has not answered by then is not waited for. Higher: whoever asks waits; lower: slow accounts are never known. */
export const ANSWER_MS = 25_000;

/** Questions to one cloud that are under way at once. Higher: one that hangs collects them; lower: people wait for each other. */
const MAX_UNDER_WAY = 4;

export interface CloudsDeps {
  readonly clouds: readonly ConfiguredCloud[];
  readonly feedAges: FeedAges;
  readonly rentedPools: RentedPools;
  readonly database: Database;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Default `ANSWER_MS`. */
  readonly answerMs?: number;
}

/** A bill, or in words why it is not known. */
export type BillAnswer = { readonly bill: Bill } | { readonly problem: string };

/** Who rents machines and says prices here, whether they can be used, and what they charged. For administrators of the platform. */
export class CloudsService {
  readonly #deps: CloudsDeps;
  /** By cloud and question. */
  readonly #underWay = new Map<string, Map<string, Promise<unknown>>>();

  constructor(deps: CloudsDeps) {
    this.#deps = deps;
  }

  /** In the order of the configuration, or the one of that name; none for others. */
  list(principal: Principal, name: string | null = null): readonly ConfiguredCloud[] {
    if (!mayDo(principal, 'cloud.read', PLATFORM)) return [];
    return name === null ? this.#deps.clouds : this.#deps.clouds.filter((one) => one.name === name);
  }

  /** What was heard of the feeds, by name. */
  async feedAges(principal: Principal): Promise<ReadonlyMap<string, FeedAge>> {
    if (!mayDo(principal, 'cloud.read', PLATFORM)) return new Map();
    const { database, feedAges } = this.#deps;
    const ages = await database.read(scopeOf(principal), (tx) => feedAges.feeds(tx));
    return new Map(ages.map((age) => [age.name, age]));
  }

  /** What was found; one that does not answer in time is a finding, too. Asks the provider. */
  async check(principal: Principal, cloud: ConfiguredCloud): Promise<readonly CheckFinding[]> {
    if (!mayDo(principal, 'cloud.read', PLATFORM)) return [];
    const [asked, lost, ages] = await Promise.all([
      this.#found(cloud),
      this.#unreached(principal, cloud),
      this.feedAges(principal),
    ]);
    const found = [...asked, ...lost];
    if (!cloud.prices) return found;
    const { intervalMs } = cloud.prices;
    return [...found, ageFinding(ages.get(cloud.name), intervalMs, this.#deps.clock.now())];
  }

  /** Null = there is no such cloud, it has no bills, or they may not be seen. Asks the provider. */
  async bill(
    principal: Principal,
    { cloud, from, to }: { readonly cloud: string; readonly from: Instant; readonly to: Instant },
  ): Promise<BillAnswer | null> {
    const source = this.#deps.clouds.find(({ name }) => name === cloud)?.bill;
    if (!source || !mayDo(principal, 'cloud.bill', PLATFORM)) return null;
    if (from > to) return { problem: 'The range ends before it begins.' };
    try {
      return { bill: await this.#inTime(cloud, `bill ${from} ${to}`, () => source.fetchBill(from, to)) };
    } catch (error) {
      return { problem: this.#wordsOf(error, cloud) };
    }
  }

  async #found({ name, check }: ConfiguredCloud): Promise<readonly CheckFinding[]> {
    if (!check) return [];
    try {
      return await this.#inTime(name, 'check', () => check.check());
    } catch (error) {
      return [{ aspect: 'credentials', status: 'unknown', message: this.#wordsOf(error, name) }];
    }
  }

  /** Pools whose machines may run where the settings of now do not reach. */
  async #unreached(principal: Principal, { name, machines }: ConfiguredCloud): Promise<readonly CheckFinding[]> {
    if (!machines) return [];
    const { database, rentedPools } = this.#deps;
    const pools = await database.read(scopeOf(principal), (tx) => rentedPools.rentedFrom(tx, name));
    return pools.flatMap((one): CheckFinding[] => {
      const why = machines.outOfReach(one);
      const message = `Machines of pool ${one.cluster}/${one.pool} may run and cannot be asked for: ${why}. Mend these settings, or the pool's own.`;
      return why === null ? [] : [{ aspect: 'permissions', status: 'failed', message }];
    });
  }

  /** What a provider did not answer is told; what is our own mistake is for the log. */
  #wordsOf(error: unknown, cloud: string): string {
    if (error instanceof CloudUnknown) return `It cannot be asked: ${error.message}.`;
    this.#deps.logger.error({ cloud, err: error }, 'a cloud could not be asked');
    return 'It could not be asked; the log says why.';
  }

  /** Whoever asks the same while it is under way waits for the same answer. */
  async #inTime<T>(cloud: string, question: string, ask: () => Promise<T>): Promise<T> {
    const ms = this.#deps.answerMs ?? ANSWER_MS;
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new CloudUnknown(`no answer within ${ms / 1000} s`)), ms);
    try {
      return await Promise.race([this.#shared(cloud, question, ask), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #shared<T>(cloud: string, question: string, ask: () => Promise<T>): Promise<T> {
    const mine = this.#underWay.get(cloud) ?? new Map<string, Promise<unknown>>();
    this.#underWay.set(cloud, mine);
    const known = mine.get(question);
    // The same question has answers of the same kind.
    if (known) return known as Promise<T>;
    if (mine.size >= MAX_UNDER_WAY) throw new CloudUnknown(`${mine.size} earlier questions are not answered yet`);
    const asked = ask().finally(() => mine.delete(question));
    // Whoever waited may have gone when it fails.
    asked.catch(() => undefined);
    mine.set(question, asked);
    return asked;
  }
}

function ageFinding(age: FeedAge | undefined, intervalMs: number, now: Instant): CheckFinding {
  const why = age?.errorMessage ? ` The last attempt failed: ${age.errorMessage}` : '';
  if (age?.staleSince != null) {
    const since = new Date(age.staleSince).toISOString();
    return { aspect: 'prices', status: 'failed', message: `Silent since ${since}: its prices decide nothing.${why}` };
  }
  if (age?.readAt == null)
    return { aspect: 'prices', status: 'unknown', message: `Not read yet; asked every ${intervalMs / 60_000} min.${why}` };
  return { aspect: 'prices', status: 'ok', message: `Read ${Math.round((now - age.readAt) / 1000)} s ago.${why}` };
}
