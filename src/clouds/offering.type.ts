import { Field, Int, ObjectType, registerEnumType } from 'type-graphql';
import { toGlobalId } from '../graphql/global-id.ts';
import { NodeType } from '../graphql/node.type.ts';
import { AcceleratorType } from '../registry/resources.type.ts';
import type { CapacityType, Offering } from './offering.ts';

export const CapacityTypeName: Record<string, CapacityType> = { ON_DEMAND: 'on_demand', SPOT: 'spot', RESERVED: 'reserved' };
registerEnumType(CapacityTypeName, {
  name: 'CapacityType',
  description: 'How capacity is rented.',
  valuesConfig: {
    ON_DEMAND: { description: 'Kept until given back.' },
    SPOT: { description: 'Cheaper; can be taken away.' },
    RESERVED: { description: 'Paid in advance.' },
  },
});

@ObjectType('Offering', {
  implements: NodeType,
  description: 'Instance type × region × capacity type: something that can be rented.',
})
export class OfferingType extends NodeType {
  readonly row!: Offering;

  @Field(() => String, { description: 'aws, azure, gcp or your own.' })
  provider!: string;

  @Field(() => String, { description: "The provider's name of the region." })
  region!: string;

  @Field(() => String, { nullable: true, description: 'Null where the price is the same in every zone.' })
  zone!: string | null;

  @Field(() => String, { description: "The provider's name of the instance type." })
  instanceType!: string;

  @Field(() => CapacityTypeName, { description: 'How it is rented.' })
  capacityType!: CapacityType;

  @Field(() => String, { description: 'amd64 or arm64.' })
  architecture!: string;

  @Field(() => Int, { description: 'Thousandths of a CPU.' })
  cpuMilli!: number;

  @Field(() => Int, { nullable: true, description: 'Memory in MiB; null where the provider does not say.' })
  memoryMib!: number | null;

  @Field(() => AcceleratorType, { nullable: true, description: 'Accelerators, if it has any.' })
  accelerator!: AcceleratorType | null;

  @Field(() => String, { nullable: true, description: 'Share of spot instances interrupted in a month, as published.' })
  interruptionBand!: string | null;
}

export const toOfferingType = (row: Offering): OfferingType => ({
  ...row,
  id: toGlobalId('Offering', row.id),
  row,
  zone: row.zone || null,
});
