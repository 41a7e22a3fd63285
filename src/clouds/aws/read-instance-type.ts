import type { Accelerator } from '../../kernel/resources.ts';

interface Device {
  readonly Name?: string | undefined;
  readonly Count?: number | undefined;
  /** Share of a whole device. */
  readonly GpuPartitionSize?: number | undefined;
  readonly LogicalGpuCount?: number | undefined;
  readonly MemoryInfo?: { readonly SizeInMiB?: number | undefined } | undefined;
}

/** What is read of an answer of DescribeInstanceTypes. */
export interface DescribedType {
  readonly InstanceType?: string | undefined;
  readonly SupportedUsageClasses?: readonly string[] | undefined;
  readonly ProcessorInfo?: { readonly SupportedArchitectures?: readonly string[] | undefined } | undefined;
  readonly VCpuInfo?: { readonly DefaultVCpus?: number | undefined } | undefined;
  readonly MemoryInfo?: { readonly SizeInMiB?: number | undefined } | undefined;
  readonly GpuInfo?: { readonly Gpus?: readonly Device[] | undefined } | undefined;
  readonly InferenceAcceleratorInfo?: { readonly Accelerators?: readonly Device[] | undefined } | undefined;
  readonly NeuronInfo?: { readonly NeuronDevices?: readonly Device[] | undefined } | undefined;
}

export interface InstanceShape {
  readonly instanceType: string;
  readonly architecture: string;
  readonly cpuMilli: number;
  readonly memoryMib: number | null;
  readonly accelerator: Accelerator | null;
  readonly spot: boolean;
}

/** The rest is for machines that no container of ours runs on: Macs, 32 bits. */
const ARCHITECTURES: readonly (readonly [string, string])[] = [
  ['x86_64', 'amd64'],
  ['arm64', 'arm64'],
];

/** The names of the price book, where EC2 has others. */
const MODELS: Readonly<Record<string, string>> = {
  T4g: 'T4G',
  'RTX PRO Server 6000': 'RTX-PRO-6000',
  'RTX PRO Server 4500': 'RTX-PRO-4500',
};

/** EC2 tells some memories in decimal units; the price book has what is printed on the device. */
const NOMINAL_MIB: Readonly<Record<string, number>> = {
  A10G: 24_576,
  L4: 24_576,
  L40S: 49_152,
  B200: 184_320,
  B300: 268_800,
  'Qualcomm-AI100': 16_384,
};

/** What a type has; null = it is none that can be used; a text = what of it cannot be read. */
export function readInstanceType(type: DescribedType): InstanceShape | string | null {
  const { InstanceType: instanceType, SupportedUsageClasses: uses = [] } = type;
  if (instanceType === undefined) return 'it has no name';
  const architecture = architectureOf(type);
  if (architecture === null || !uses.includes('on-demand')) return null;
  const vcpus = positive(type.VCpuInfo?.DefaultVCpus);
  if (vcpus === null) return 'its number of CPUs cannot be read';
  return {
    ...{ instanceType, architecture, spot: uses.includes('spot'), cpuMilli: vcpus * 1_000 },
    memoryMib: positive(type.MemoryInfo?.SizeInMiB),
    accelerator: acceleratorOf(type),
  };
}

function architectureOf({ ProcessorInfo }: DescribedType): string | null {
  const supported = ProcessorInfo?.SupportedArchitectures ?? [];
  return ARCHITECTURES.find(([theirs]) => supported.includes(theirs))?.[1] ?? null;
}

function acceleratorOf({ GpuInfo, InferenceAcceleratorInfo, NeuronInfo }: DescribedType): Accelerator | null {
  const devices = [GpuInfo?.Gpus, InferenceAcceleratorInfo?.Accelerators, NeuronInfo?.NeuronDevices];
  const device = devices.flatMap((some) => some ?? [])[0];
  if (device?.Name === undefined) return null;
  const model = MODELS[device.Name] ?? device.Name.replaceAll(' ', '-');
  return { model, countMilli: countOf(device), memoryMib: NOMINAL_MIB[model] ?? device.MemoryInfo?.SizeInMiB ?? 0 };
}

/** A part of a device counts as that part: an eighth is 125. */
function countOf({ Count = 0, LogicalGpuCount = 0, GpuPartitionSize }: Device): number {
  if (GpuPartitionSize === undefined || GpuPartitionSize >= 1) return Count * 1_000;
  return Math.round(LogicalGpuCount * GpuPartitionSize * 1_000);
}

const positive = (value: number | undefined): number | null =>
  value !== undefined && Number.isInteger(value) && value > 0 ? value : null;
