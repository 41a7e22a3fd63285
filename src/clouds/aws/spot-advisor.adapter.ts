import { z } from 'zod';
import { CloudUnknown } from '../cloud-provider.port.ts';
import type { Deadline } from './aws-api.adapter.ts';

/** The file has 5 MB. Higher: memory; lower: it is refused when it grows. */
const MAX_BYTES = 64 * 1024 * 1024;

const Advice = z.object({
  ranges: z.array(z.object({ index: z.number().int(), label: z.string().min(1) })).min(1),
  /** By region, system and type; `r` is the index of a range. */
  spot_advisor: z.record(z.string(), z.object({ Linux: z.record(z.string(), z.object({ r: z.number().int() })) })),
});

export interface SpotAdvisorOptions {
  readonly url: string;
  readonly deadlineMs: number;
  readonly deadline?: Deadline | undefined;
  /** Of the file, unpacked. */
  readonly maxBytes?: number;
}

/** How often spot machines were taken away in the trailing month, as AWS publishes it for everybody. */
export class SpotAdvisor {
  readonly #options: SpotAdvisorOptions;

  constructor(options: SpotAdvisorOptions) {
    this.#options = options;
  }

  /** `<5%`, `5-10%`, …; null where nothing is said. Throws `CloudUnknown` unless the whole file was read. */
  async bands(): Promise<(region: string, type: string) => string | null> {
    const { ranges, spot_advisor: regions } = await this.#read();
    const labels = new Map(ranges.map(({ index, label }) => [index, label]));
    return (region, type) => {
      const systems = Object.hasOwn(regions, region) ? regions[region]?.Linux : undefined;
      const advice = systems && Object.hasOwn(systems, type) ? systems[type] : undefined;
      return (advice && labels.get(advice.r)) ?? null;
    };
  }

  async #read(): Promise<z.infer<typeof Advice>> {
    const { url, deadlineMs, deadline = (ms: number) => AbortSignal.timeout(ms) } = this.#options;
    try {
      const answer = await fetch(url, { signal: deadline(deadlineMs), redirect: 'error' });
      if (!answer.ok) throw new CloudUnknown(`the Spot Advisor answers ${answer.status}`);
      return Advice.parse(JSON.parse(await this.#textOf(answer)));
    } catch (error) {
      if (error instanceof CloudUnknown) throw error;
      throw new CloudUnknown(`the Spot Advisor did not say what it should (${url}); spotAdvisorUrl: null goes without it`, {
        cause: error,
      });
    }
  }
  /** What it says of its length is not believed: it may be packed, or be sent in pieces. */
  async #textOf({ body }: Response): Promise<string> {
    const { maxBytes = MAX_BYTES } = this.#options;
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw new CloudUnknown('the Spot Advisor says too much');
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  }
}
