import { Field, ID, InputType, Int } from 'type-graphql';
import { oneOf } from '../graphql/one-of.ts';
import { ProjectBy } from '../identity/identity.input.ts';
import { ProtocolName } from './model.type.ts';
import type { Protocol } from './model-version.ts';
import { ReplicaRateInput, ResourcesInput } from './resources.type.ts';

@InputType(oneOf('ModelBy'), { description: 'Names one model.' })
export class ModelBy {
  @Field(() => ID, { nullable: true, description: 'Global id.' })
  id?: string | null;

  @Field(() => String, { nullable: true, description: '`team/project/model`.' })
  path?: string | null;
}

@InputType('ModelFilter', { description: 'Which models; all that are given must hold.' })
export class ModelFilter {
  @Field(() => ProjectBy, { nullable: true, description: 'Of this project.' })
  project?: ProjectBy | null;

  @Field(() => String, { nullable: true, description: 'Whose name contains this.' })
  nameContains?: string | null;
}

@InputType('RegisterModelInput', { description: 'A new model.' })
export class RegisterModelInput {
  @Field(() => ProjectBy, { description: 'The project.' })
  project!: ProjectBy;

  @Field(() => String, { description: 'A DNS label, unique in the project.' })
  name!: string;

  @Field(() => String, { defaultValue: '', description: 'What it is for; at most 1,000 characters.' })
  description!: string;
}

@InputType('EnvironmentVariableInput', { description: 'A variable of a replica.' })
export class EnvironmentVariableInput {
  @Field(() => String, { description: 'Letters, digits and "_".' })
  name!: string;

  @Field(() => String, { description: 'Value; readable by everybody who may read the model.' })
  value!: string;
}

@InputType()
abstract class ServerInput {
  @Field(() => Int, { defaultValue: 8080, description: 'The port that it listens on; a process is told by PORT.' })
  port!: number;

  @Field(() => String, { defaultValue: '/', description: 'Path that answers 2xx once it is ready.' })
  healthPath!: string;

  @Field(() => ProtocolName, { defaultValue: 'http', description: 'What it speaks.' })
  protocol!: Protocol;

  @Field(() => [EnvironmentVariableInput], { nullable: true, description: 'Variables of each replica.' })
  environment?: EnvironmentVariableInput[] | null;
}

@InputType('ContainerInput', { description: 'A container image that serves HTTP.' })
export class ContainerInput extends ServerInput {
  @Field(() => String, { description: 'Image reference.' })
  image!: string;
}

@InputType('ProcessInput', { description: 'A command that serves HTTP.' })
export class ProcessInput extends ServerInput {
  @Field(() => [String], { description: 'Program and arguments.' })
  command!: string[];
}

@InputType('LineageInput', { description: 'Where a version comes from.' })
export class LineageInput {
  @Field(() => String, { nullable: true, description: 'The training run that made it.' })
  runId?: string | null;

  @Field(() => String, { nullable: true, description: 'Where its code is, an http(s) URL.' })
  sourceUrl?: string | null;
}

@InputType('RegisterModelVersionInput', {
  description: 'The next version: exactly one of artifactDigest, container and process.',
})
export class RegisterModelVersionInput {
  @Field(() => ModelBy, { description: 'The model.' })
  model!: ModelBy;

  @Field(() => String, { nullable: true, description: 'Digest of an uploaded ONNX file.' })
  artifactDigest?: string | null;

  @Field(() => ContainerInput, { nullable: true, description: 'A container.' })
  container?: ContainerInput | null;

  @Field(() => ProcessInput, { nullable: true, description: 'A process.' })
  process?: ProcessInput | null;

  @Field(() => ResourcesInput, { description: 'What one replica needs unless the deployment says otherwise.' })
  resources!: ResourcesInput;

  @Field(() => [ReplicaRateInput], {
    nullable: true,
    description:
      'What one replica of these resources carries, by accelerator: whoever deploys a throughput needs it. Default: nobody knows.',
  })
  carries?: ReplicaRateInput[] | null;

  @Field(() => LineageInput, { nullable: true, description: 'Where it comes from.' })
  lineage?: LineageInput | null;
}

@InputType('SetModelAliasInput', { description: 'Where an alias points from now on.' })
export class SetModelAliasInput {
  @Field(() => ModelBy, { description: 'The model.' })
  model!: ModelBy;

  @Field(() => String, { description: 'A DNS label, unique in the model.' })
  name!: string;

  @Field(() => Int, { description: 'Number of the version.' })
  version!: number;
}

@InputType('ArchiveModelVersionInput', { description: 'A version to take out of use.' })
export class ArchiveModelVersionInput {
  @Field(() => ID, { description: 'Global id of the version.' })
  modelVersion!: string;
}
