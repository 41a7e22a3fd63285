import { z } from 'zod';
import type { OwnMachine } from './machine-list.ts';
import { CommandSettings } from './run-command.adapter.ts';

const MIB_PER_GIB = 1_024;

/** From a table everything is text, and an empty cell is nothing. */
const cell = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (value === '' || value === null ? undefined : value), schema);

/** One machine: a line of a CSV file whose header has these names, or an object of a JSON list. */
const Machine = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'must be letters, digits, dots, dashes and underscores, at most 63'),
    /** Of the node that it joins as. */
    node: cell(z.string().min(1).optional()),
    type: z.string().min(1),
    zone: cell(z.string().min(1).default('here')),
    architecture: cell(z.enum(['amd64', 'arm64']).default('amd64')),
    cpu: cell(z.coerce.number().positive()),
    memoryGib: cell(z.coerce.number().positive()),
    gpu: cell(z.string().min(1).optional()),
    gpus: cell(z.coerce.number().int().positive().default(1)),
    gpuMemoryGib: cell(z.coerce.number().positive().optional()),
    /** What it costs by the hour, written off over its life. */
    pricePerHour: cell(
      z.coerce
        .string()
        .regex(/^\d+(\.\d+)?$/, 'must be USD per hour, like 0.35')
        .optional(),
    ),
  })
  .transform((row): OwnMachine => ({
    ...{ name: row.name, nodeName: row.node ?? row.name, instanceType: row.type, zone: row.zone },
    ...{ architecture: row.architecture, cpuMilli: Math.round(row.cpu * 1_000) },
    memoryMib: Math.round(row.memoryGib * MIB_PER_GIB),
    accelerator:
      row.gpu === undefined
        ? null
        : { model: row.gpu, countMilli: row.gpus * 1_000, memoryMib: Math.round((row.gpuMemoryGib ?? 0) * MIB_PER_GIB) },
    pricePerHour: row.pricePerHour ?? null,
  }));

export const MachineRows = z.array(Machine).min(1);

/** Machines of one's own as they are written down: in the settings, or in a file that they name. */
export const MachinesSettings = z.strictObject({
  machines: z.union([z.string().min(1), z.array(z.unknown())]),
  region: z.string().min(1).default('here'),
  capacityType: z.enum(['on_demand', 'reserved']).default('on_demand'),
  /** Wakes a machine that is rented, and puts one to rest that was given back. */
  power: CommandSettings.optional(),
  /** Folder where what is taken is kept; absent = in the data folder. */
  state: z.string().min(1).optional(),
});
