import { Field, InputType, Int, ObjectType } from 'type-graphql';
import type { Resources } from '../kernel/resources.ts';

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

export const toResources = ({ cpuMilli, memoryMib, accelerator }: ResourcesInput): Resources => ({
  cpuMilli,
  memoryMib,
  accelerator: accelerator
    ? { model: accelerator.model, countMilli: accelerator.countMilli, memoryMib: accelerator.memoryMib }
    : null,
});
