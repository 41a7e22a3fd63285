import { Field, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { connectionOf } from '../graphql/connection.type.ts';
import { toGlobalId } from '../graphql/global-id.ts';
import { NodeType } from '../graphql/node.type.ts';
import { PayloadType } from '../graphql/payload.type.ts';
import { BigInteger, DateTime } from '../graphql/scalars.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { modelPath, type AliasChange, type Model, type ModelAlias } from './model.ts';
import type { ModelFormat, ModelVersion, Protocol } from './model-version.ts';
import { ReplicaRateType, ResourcesType, toReplicaRateType } from './resources.type.ts';

export const ModelFormatName: Record<string, ModelFormat> = { ONNX: 'onnx', CONTAINER: 'container', PROCESS: 'process' };
registerEnumType(ModelFormatName, {
  name: 'ModelFormat',
  description: 'How a replica of a version is started.',
  valuesConfig: {
    ONNX: { description: 'An ONNX file in the built-in model server.' },
    CONTAINER: { description: 'A container image.' },
    PROCESS: { description: 'A command on the node.' },
  },
});

export const ProtocolName: Record<string, Protocol> = { OIP: 'oip', OPENAI: 'openai', HTTP: 'http' };
registerEnumType(ProtocolName, {
  name: 'Protocol',
  description: 'What a replica speaks.',
  valuesConfig: {
    OIP: { description: 'Open Inference Protocol v2.' },
    OPENAI: { description: 'The OpenAI API.' },
    HTTP: { description: 'Any HTTP; requests are not repeated unless their method is safe.' },
  },
});

@ObjectType('Tensor', { description: 'An input or output of a model.' })
export class TensorType {
  @Field(() => String, { description: 'Name.' })
  name!: string;

  @Field(() => String, { description: 'Datatype of the Open Inference Protocol: FP32, INT64, BYTES; OTHER where it has none.' })
  datatype!: string;

  @Field(() => [Int], { description: 'Dimensions; -1 is free.' })
  shape!: readonly number[];
}

@ObjectType('Signature', { description: 'What a model takes and gives, read from its file.' })
export class SignatureType {
  @Field(() => [TensorType], { description: 'Inputs, in order.' })
  inputs!: readonly TensorType[];

  @Field(() => [TensorType], { description: 'Outputs, in order.' })
  outputs!: readonly TensorType[];
}

@ObjectType('Artifact', { description: 'The file of a version.' })
export class ArtifactType {
  @Field(() => String, { description: '`sha256:` and 64 hex digits.' })
  digest!: string;

  @Field(() => BigInteger, { description: 'Size in bytes.' })
  sizeBytes!: number;

  @Field(() => ModelFormatName, { description: 'What kind of file it is.' })
  format!: ModelFormat;
}

@ObjectType('Lineage', { description: 'Where a version comes from.' })
export class LineageType {
  @Field(() => String, { nullable: true, description: 'The training run that made it.' })
  runId!: string | null;

  @Field(() => String, { nullable: true, description: 'Where its code is.' })
  sourceUrl!: string | null;
}

@ObjectType('ModelVersion', { implements: NodeType, description: 'A version of a model; never changes, but for being archived.' })
export class ModelVersionType extends NodeType {
  readonly row!: ModelVersion;

  @Field(() => Int, { description: 'Dense per model, from 1.' })
  number!: number;

  @Field(() => ModelFormatName, { description: 'How a replica is started.' })
  format!: ModelFormat;

  @Field(() => ArtifactType, { nullable: true, description: 'Its file; null for containers and processes.' })
  artifact!: ArtifactType | null;

  @Field(() => SignatureType, { nullable: true, description: 'What it takes and gives; null where unknown.' })
  signature!: SignatureType | null;

  @Field(() => ResourcesType, { description: 'What one replica needs unless the deployment says otherwise.' })
  resources!: ResourcesType;

  @Field(() => [ReplicaRateType], {
    description: 'What one replica carries, as whoever registered it says; empty = nobody knows.',
  })
  carries!: ReplicaRateType[];

  @Field(() => LineageType, { nullable: true, description: 'Where it comes from.' })
  lineage!: LineageType | null;

  @Field(() => DateTime, { description: 'When it was registered.' })
  createdAt!: Instant;

  @Field(() => ID, { description: 'The principal that registered it.' })
  createdBy!: string;

  @Field(() => DateTime, { nullable: true, description: 'When it was archived; null = in use.' })
  archivedAt!: Instant | null;
}

export const ModelVersionConnection = connectionOf('ModelVersion', () => ModelVersionType);

@ObjectType('ModelAliasChange', { description: 'What an alias pointed at from an instant on.' })
export class ModelAliasChangeType {
  readonly versionId!: Id | null;

  @Field(() => DateTime, { description: 'Since when.' })
  validFrom!: Instant;

  @Field(() => ID, { description: 'The principal that moved it.' })
  principal!: string;
}

@ObjectType('ModelAlias', { description: 'A name for a version that can be moved.' })
export class ModelAliasType {
  readonly row!: ModelAlias;

  @Field(() => String, { description: 'Name, unique in the model.' })
  name!: string;

  @Field(() => Int, { description: 'Rises whenever it is moved; pass it as `expectedVersion`.' })
  generation!: number;
}

@ObjectType('Model', { implements: NodeType, description: 'A line of versions under one name.' })
export class ModelType extends NodeType {
  readonly row!: Model;

  @Field(() => String, { description: '`team/project/model`.' })
  path!: string;

  @Field(() => String, { description: 'Name, unique in the project.' })
  name!: string;

  @Field(() => String, { description: 'What it is for.' })
  description!: string;

  @Field(() => DateTime, { description: 'When it was registered.' })
  createdAt!: Instant;
}

export const ModelConnection = connectionOf('Model', () => ModelType);

@ObjectType('RegisterModelPayload', { description: 'The model, unless refused.' })
export class RegisterModelPayload extends PayloadType {
  @Field(() => ModelType, { nullable: true, description: 'The model.' })
  model!: ModelType | null;
}

@ObjectType('RegisterModelVersionPayload', { description: 'The version, unless refused.' })
export class RegisterModelVersionPayload extends PayloadType {
  @Field(() => ModelVersionType, { nullable: true, description: 'The version.' })
  modelVersion!: ModelVersionType | null;
}

@ObjectType('SetModelAliasPayload', { description: 'The alias, unless refused.' })
export class SetModelAliasPayload extends PayloadType {
  @Field(() => ModelAliasType, { nullable: true, description: 'The alias.' })
  alias!: ModelAliasType | null;
}

@ObjectType('ArchiveModelVersionPayload', { description: 'The version, unless refused.' })
export class ArchiveModelVersionPayload extends PayloadType {
  @Field(() => ModelVersionType, { nullable: true, description: 'The version.' })
  modelVersion!: ModelVersionType | null;
}

export const toModelType = (row: Model): ModelType => ({
  id: toGlobalId('Model', row.id),
  row,
  path: modelPath(row),
  name: row.name,
  description: row.description,
  createdAt: row.createdAt,
});

export const toModelVersionType = (row: ModelVersion): ModelVersionType => ({
  id: toGlobalId('ModelVersion', row.id),
  row,
  number: row.number,
  format: row.format,
  artifact: row.artifact && { ...row.artifact, format: row.format },
  signature: row.signature,
  resources: row.resources,
  carries: row.carries.map(toReplicaRateType),
  lineage: row.lineage,
  createdAt: row.createdAt,
  createdBy: toGlobalId('Principal', row.createdBy),
  archivedAt: row.archivedAt,
});

export const toModelAliasType = (row: ModelAlias): ModelAliasType => ({
  row,
  name: row.name,
  generation: row.version,
});

export const toAliasChangeType = (change: AliasChange): ModelAliasChangeType => ({
  versionId: change.versionId,
  validFrom: change.validFrom,
  principal: toGlobalId('Principal', change.principal),
});
