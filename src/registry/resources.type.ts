import { Field, Float, InputType, Int, ObjectType } from 'type-graphql';
import type { Resources } from '../kernel/resources.ts';
import type { ReplicaRate } from './model-version.ts';

@ObjectType('Accelerator', { description: 'Accelerators of one instance or replica.' })
export class AcceleratorType {
  @Field(() => String, { description: 'Short model name: T4, A100, H100, Inferentia.' })
  model!: string;

  @Field(() => Int, { description: 'How many, in thousandths: 1000 is one whole device.' })
  countMilli!: number;

  @Field(() => Int, { description: 'Nominal memory of one whole device in MiB; 0 where unknown.' })
  memoryMib!: number;
}

@ObjectType('Resources', { description: 'What one replica needs.' })
export class ResourcesType {
  @Field(() => Int, { description: 'Thousandths of a CPU.' })
  cpuMilli!: number;

  @Field(() => Int, { description: 'Memory in MiB.' })
  memoryMib!: number;

  @Field(() => AcceleratorType, { nullable: true, description: 'Accelerators, if it needs any.' })
  accelerator!: AcceleratorType | null;
}

@InputType('AcceleratorInput', { description: 'Accelerators that one replica needs.' })
export class AcceleratorInput {
  @Field(() => String, { description: 'Short model name as in the price book: T4, A100, H100.' })
  model!: string;

  @Field(() => Int, { defaultValue: 1000, description: 'How many, in thousandths: 1000 is one whole device.' })
  countMilli!: number;

  @Field(() => Int, { defaultValue: 0, description: 'Memory that one device must have, in MiB.' })
  memoryMib!: number;
}

@InputType('ResourcesInput', { description: 'What one replica needs.' })
export class ResourcesInput {
  @Field(() => Int, { description: 'Thousandths of a CPU.' })
  cpuMilli!: number;

  @Field(() => Int, { description: 'Memory in MiB.' })
  memoryMib!: number;

  @Field(() => AcceleratorInput, { nullable: true, description: 'Accelerators, if it needs any.' })
  accelerator?: AcceleratorInput | null;
}

@ObjectType('ReplicaRate', { description: 'What one replica carries on an accelerator.' })
export class ReplicaRateType {
  @Field(() => String, { nullable: true, description: 'Short model name; null = without one.' })
  accelerator!: string | null;

  @Field(() => Float, { description: 'Requests per second.' })
  requestsPerSecond!: number;
}

@InputType('ReplicaRateInput', {
  description: 'What one replica carries on an accelerator, with the resources that are said beside it.',
})
export class ReplicaRateInput {
  @Field(() => String, { nullable: true, description: 'Short model name as in the price book; default: without one.' })
  accelerator?: string | null;

  @Field(() => Float, { description: 'Requests per second, in steps of a thousandth.' })
  requestsPerSecond!: number;
}

/** Thousandths are counted, so that the same division has the same remainder everywhere. */
export const toMilliRate = (requestsPerSecond: number): number => Math.round(requestsPerSecond * 1_000);

export const toReplicaRate = ({ accelerator = null, requestsPerSecond }: ReplicaRateInput): ReplicaRate => ({
  accelerator,
  milliRequestsPerSecond: toMilliRate(requestsPerSecond),
});

export const toReplicaRateType = ({ accelerator, milliRequestsPerSecond }: ReplicaRate): ReplicaRateType => ({
  accelerator,
  requestsPerSecond: milliRequestsPerSecond / 1_000,
});

export const toResources = ({ cpuMilli, memoryMib, accelerator }: ResourcesInput): Resources => ({
  cpuMilli,
  memoryMib,
  accelerator: accelerator
    ? { model: accelerator.model, countMilli: accelerator.countMilli, memoryMib: accelerator.memoryMib }
    : null,
});
