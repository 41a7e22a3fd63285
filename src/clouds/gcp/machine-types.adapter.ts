import { z } from 'zod';
import { withGpus } from './attached-gpus.ts';
import type { GcpApi } from './gcp-api.adapter.ts';
import { lastOf } from './gcp-pool.ts';
import type { MachineShape } from './machine-shapes.ts';

const Zones = z.object({
  items: z.array(z.object({ name: z.string(), region: z.string() })).default([]),
  nextPageToken: z.string().optional(),
});
const Count = z.number().int().min(1);
const Type = z.object({
  name: z.string(),
  guestCpus: Count,
  memoryMb: Count,
  isSharedCpu: z.boolean().default(false),
  architecture: z.string().optional(),
  accelerators: z.array(z.object({ guestAcceleratorType: z.string(), guestAcceleratorCount: Count })).default([]),
  bundledLocalSsds: z.object({ partitionCount: z.number().int().default(0) }).optional(),
  deprecated: z.object({ state: z.string().optional() }).optional(),
});
const Page = z.object({ items: z.array(z.unknown()).default([]), nextPageToken: z.string().optional() });

const AcceleratorPage = z.object({
  items: z.array(z.object({ name: z.string(), deprecated: z.object({ state: z.string().optional() }).optional() })).default([]),
  nextPageToken: z.string().optional(),
});

/** Of one region. */
export interface RegionShapes {
  readonly region: string;
  readonly shapes: readonly MachineShape[];
  /** Types that cannot be read. */
  readonly damaged: readonly string[];
}

/** What can be rented in regions: all types of all their zones, each once. */
export async function listShapes(api: GcpApi, regions: readonly string[]): Promise<RegionShapes[]> {
  const zones = await api.pages({ path: `${api.project}/zones`, query: { maxResults: '500' } }, Zones);
  const all = zones.flatMap(({ items }) => items);
  return Promise.all(
    regions.map((region) =>
      shapesIn(
        api,
        region,
        all.filter((zone) => lastOf(zone.region) === region).map(({ name }) => name),
      ),
    ),
  );
}

async function shapesIn(api: GcpApi, region: string, zones: readonly string[]): Promise<RegionShapes> {
  const shapes = new Map<string, MachineShape>();
  const damaged: string[] = [];
  for (const zone of zones) {
    const gpus = await gpusIn(api, zone);
    const path = `${api.project}/zones/${zone}/machineTypes`;
    const pages = await api.pages({ path, query: { maxResults: '500' } }, Page);
    for (const item of pages.flatMap(({ items }) => items)) {
      const found = shapesOf(item, gpus);
      if (!found) damaged.push(`${zone}/${z.object({ name: z.string() }).safeParse(item).data?.name ?? 'a type'}`);
      for (const shape of found ?? []) shapes.set(shape.name, shape);
    }
  }
  return { region, shapes: [...shapes.values()], damaged };
}

/** Accelerators that can be rented there, by name. */
async function gpusIn(api: GcpApi, zone: string): Promise<string[]> {
  const pages = await api.pages(
    { path: `${api.project}/zones/${zone}/acceleratorTypes`, query: { maxResults: '500' } },
    AcceleratorPage,
  );
  return pages.flatMap(({ items }) => items.filter(({ deprecated }) => deprecated?.state === undefined).map(({ name }) => name));
}

/** None of an old one; null = it cannot be read. */
function shapesOf(item: unknown, gpus: readonly string[]): MachineShape[] | null {
  const read = Type.safeParse(item);
  if (!read.success) return null;
  if (read.data.deprecated?.state !== undefined) return [];
  const shape = shapeOf(read.data);
  return [shape, ...withGpus(shape, gpus)];
}

function shapeOf({ accelerators: [first], bundledLocalSsds, architecture, ...type }: z.infer<typeof Type>): MachineShape {
  return {
    ...{ name: type.name, guestCpus: type.guestCpus, memoryMb: type.memoryMb, isSharedCpu: type.isSharedCpu },
    architecture: architecture ?? null,
    accelerator: first ? { type: first.guestAcceleratorType, count: first.guestAcceleratorCount } : null,
    bundledDisks: bundledLocalSsds?.partitionCount ?? 0,
  };
}
