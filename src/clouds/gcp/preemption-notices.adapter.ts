import { z } from 'zod';
import { HOUR_MS } from '../../kernel/instant.ts';
import { CloudUnknown, type CloudInterruption } from '../cloud-provider.port.ts';
import type { GcpApi } from './gcp-api.adapter.ts';
import { lastOf, MARK, pathOf } from './gcp-pool.ts';

/** What was told longer ago has long had its effect. */
const OPEN_MS = HOUR_MS;
/** From a preemption to the end of the machine, at the least. */
const NOTICE_MS = 30_000;
const PREEMPTED = 'compute.instances.preempted';

const Operation = z.object({ operationType: z.string(), targetLink: z.string(), insertTime: z.string() });
const Page = z.object({
  items: z
    .record(
      z.string(),
      z.object({ operations: z.array(Operation).default([]), warning: z.object({ code: z.string() }).optional() }),
    )
    .default({}),
  nextPageToken: z.string().optional(),
});
const Instance = z.object({
  labels: z.record(z.string(), z.string()).optional(),
  lastStartTimestamp: z.string().optional(),
});

/**
 * Spot machines that Google takes, from the operations of the project: they show when the machine is told to stop, thirty seconds before its
 * end. A machine that is gone, or was started again under its name, has no notice.
 */
export class PreemptionNotices {
  readonly #api: GcpApi;

  constructor(api: GcpApi) {
    this.#api = api;
  }

  async open(): Promise<CloudInterruption[]> {
    const noticed = new Map<string, number>();
    const since = this.#api.clock.now() - OPEN_MS;
    for (const { targetLink, insertTime } of await this.#preemptions()) {
      const at = Date.parse(insertTime);
      if (at >= since) noticed.set(pathOf(targetLink), Math.max(at, noticed.get(pathOf(targetLink)) ?? 0));
    }
    const open = await Promise.all([...noticed].map(([path, at]) => this.#noticeOf(path, at)));
    return open.flatMap((one) => one ?? []);
  }

  async #preemptions(): Promise<z.infer<typeof Operation>[]> {
    const query = { filter: `operationType = "${PREEMPTED}"`, maxResults: '500' };
    const pages = await this.#api.pages({ path: `${this.#api.project}/aggregated/operations`, query }, Page);
    const places = pages.flatMap(({ items }) => Object.entries(items));
    const silent = places.find(([, { warning }]) => warning && warning.code !== 'NO_RESULTS_ON_PAGE');
    if (silent) throw new CloudUnknown(`${silent[0]} cannot be asked for operations: ${silent[1].warning?.code ?? ''}`);
    return places.flatMap(([, { operations }]) => operations);
  }

  /** Null = it is gone, not ours, or another one by now. */
  async #noticeOf(path: string, noticedAt: number): Promise<CloudInterruption | null> {
    const instance = await this.#api.client('compute').askIfThere({ path }, Instance);
    if (instance?.labels?.[MARK.pool] === undefined) return null;
    if (Date.parse(instance.lastStartTimestamp ?? '') > noticedAt) return null;
    const name = lastOf(path);
    const words = { goneAt: noticedAt + NOTICE_MS, message: 'Google takes this spot machine back.' };
    return { instanceId: name, nodeName: name, noticedAt, ...words };
  }
}
