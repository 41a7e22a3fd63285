import { failure, type Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { isName, NAME_RULE } from '../kernel/name.ts';
import type { Resources } from '../kernel/resources.ts';
import type { Lineage, ReplicaRate, Runtime } from './model-version.ts';

/** A line of versions under one name in a project. */
export interface Model {
  readonly id: Id;
  readonly teamId: Id;
  readonly projectId: Id;
  readonly teamName: string;
  readonly projectName: string;
  readonly name: string;
  readonly description: string;
  /** Rises with every version registered and every alias moved. */
  readonly version: number;
  readonly createdAt: Instant;
  readonly createdBy: string;
}

/** A name for a version that can be moved: `stable`, `candidate`. */
export interface ModelAlias {
  readonly modelId: Id;
  readonly teamId: Id;
  readonly name: string;
  readonly versionId: Id;
  /** Rises with every move. */
  readonly version: number;
}

/** What an alias pointed at from `validFrom` on; null = it was removed. */
export interface AliasChange {
  readonly modelId: Id;
  readonly name: string;
  readonly generation: number;
  readonly teamId: Id;
  readonly versionId: Id | null;
  readonly validFrom: Instant;
  readonly principal: string;
}

/** What a version can be registered as, before anything is looked up. */
export interface VersionDraft {
  readonly runtime: Runtime;
  readonly artifactDigest: string | null;
  readonly resources: Resources;
  readonly lineage: Lineage | null;
  /** Absent = nobody knows. */
  readonly carries?: readonly ReplicaRate[];
}

export const modelPath = (model: Model): string => `${model.teamName}/${model.projectName}/${model.name}`;

/** Higher lets one row fill pages and logs, lower cuts honest sentences. */
const MAX_DESCRIPTION = 1_000;
/** Higher lets a row grow without use, lower refuses long command lines. */
const MAX_COMMAND_WORDS = 100;
const MAX_TEXT = 4_096;
const MAX_ENVIRONMENT = 100;
/** Beyond every machine that is sold (1,024 CPUs, 64 TiB): more is a slip of the finger. */
const MAX_CPU_MILLI = 1_024_000;
const MAX_MEMORY_MIB = 64 * 1024 * 1024;
const MAX_PORT = 65_535;
const ENVIRONMENT_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

const invalid = (message: string, ...path: string[]): Failure => failure('INVALID_INPUT', message, { path: ['input', ...path] });

export function checkModel(name: string, description: string): Failure | null {
  if (!isName(name)) return invalid(`The name ${NAME_RULE}.`, 'name');
  return description.length > MAX_DESCRIPTION
    ? invalid(`The description must have at most ${MAX_DESCRIPTION} characters.`, 'description')
    : null;
}

export const checkAliasName = (name: string): Failure | null => (isName(name) ? null : invalid(`The name ${NAME_RULE}.`, 'name'));

/** The first thing that is wrong with a version that somebody wants to register; null if nothing is. */
export const checkVersion = (draft: VersionDraft): Failure | null =>
  checkArtifactUse(draft) ??
  checkRuntime(draft.runtime) ??
  checkResources(draft.resources) ??
  checkRates(draft.carries ?? []) ??
  checkLineage(draft.lineage);

function checkArtifactUse({ runtime, artifactDigest }: VersionDraft): Failure | null {
  const needs = runtime.format === 'onnx';
  if (needs && artifactDigest === null)
    return invalid('An ONNX version needs an artifact: upload it and name its digest.', 'artifactDigest');
  return !needs && artifactDigest !== null ? invalid(`A ${runtime.format} version has no artifact.`, 'artifactDigest') : null;
}

function checkRuntime(runtime: Runtime): Failure | null {
  if (runtime.format === 'onnx') return null;
  const { format, port, healthPath } = runtime;
  if (!Number.isInteger(port) || port < 1 || port > MAX_PORT)
    return invalid(`The port must be between 1 and ${MAX_PORT}.`, format, 'port');
  if (!/^\/[!-~]*$/.test(healthPath) || healthPath.length > MAX_TEXT)
    return invalid('The health path must start with "/" and have no spaces.', format, 'healthPath');
  return checkStart(runtime) ?? checkEnvironment(runtime.environment, format);
}

function checkStart(runtime: Exclude<Runtime, { format: 'onnx' }>): Failure | null {
  if (runtime.format === 'container') {
    return /^[!-~]{1,512}$/.test(runtime.image)
      ? null
      : invalid('The image must be 1 to 512 characters without spaces.', 'container', 'image');
  }
  const { command } = runtime;
  const fits = command.length >= 1 && command.length <= MAX_COMMAND_WORDS && command.every((word) => isText(word));
  return fits && command[0] !== ''
    ? null
    : invalid(`The command must have 1 to ${MAX_COMMAND_WORDS} words, the first not empty.`, 'process', 'command');
}

function checkEnvironment(environment: Readonly<Record<string, string>>, format: string): Failure | null {
  const entries = Object.entries(environment);
  const fits =
    entries.length <= MAX_ENVIRONMENT && entries.every(([name, value]) => ENVIRONMENT_NAME.test(name) && isText(value));
  return fits ? null : invalid(`At most ${MAX_ENVIRONMENT} variables, named by letters, digits and "_".`, format, 'environment');
}

function checkResources({ cpuMilli, memoryMib, accelerator }: Resources): Failure | null {
  if (!within(cpuMilli, MAX_CPU_MILLI))
    return invalid(`cpuMilli must be between 1 and ${MAX_CPU_MILLI}.`, 'resources', 'cpuMilli');
  if (!within(memoryMib, MAX_MEMORY_MIB))
    return invalid(`memoryMib must be between 1 and ${MAX_MEMORY_MIB}.`, 'resources', 'memoryMib');
  if (!accelerator) return null;
  const fits =
    /^[!-~][ -~]{0,63}$/.test(accelerator.model) &&
    within(accelerator.countMilli, 1_000_000) &&
    within(accelerator.memoryMib + 1, MAX_MEMORY_MIB);
  return fits
    ? null
    : invalid('An accelerator needs a model, a count above zero and a memory of zero or more.', 'resources', 'accelerator');
}

/** Each is placed for itself when somebody deploys a throughput. Higher: that takes longer; lower: some accelerators are never compared. */
const MAX_RATES = 16;
/** A million requests per second: more is a slip of the finger. */
const MAX_MILLI_RATE = 1_000_000_000;

function checkRates(rates: readonly ReplicaRate[]): Failure | null {
  const names = new Set(rates.map(({ accelerator }) => accelerator));
  const fits = rates.every(
    ({ accelerator, milliRequestsPerSecond }) =>
      (accelerator === null || (/^[!-~][ -~]{0,63}$/.test(accelerator) && accelerator !== 'any')) &&
      within(milliRequestsPerSecond, MAX_MILLI_RATE),
  );
  return fits && names.size === rates.length && rates.length <= MAX_RATES
    ? null
    : invalid(`At most ${MAX_RATES} accelerators, each named once, each with 0.001 to 1,000,000 requests per second.`, 'carries');
}

function checkLineage(lineage: Lineage | null): Failure | null {
  const { runId = null, sourceUrl = null } = lineage ?? {};
  if (runId !== null && !isText(runId))
    return invalid(`The run id must have at most ${MAX_TEXT} characters.`, 'lineage', 'runId');
  if (sourceUrl === null) return null;
  const fits = sourceUrl.length <= MAX_TEXT && /^https?:\/\/[!-~]+$/.test(sourceUrl);
  return fits ? null : invalid('The source URL must start with http:// or https://.', 'lineage', 'sourceUrl');
}

const within = (value: number, maximum: number): boolean => Number.isInteger(value) && value >= 1 && value <= maximum;

/** PostgreSQL cannot store NUL in text or jsonb. */
const isText = (text: string): boolean => text.length <= MAX_TEXT && !text.includes('\0');
