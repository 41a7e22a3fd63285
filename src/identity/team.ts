import { failure, type Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { isName, NAME_RULE } from '../kernel/name.ts';
import { PICO_PER_USD, type PicoUsdPerHour } from '../kernel/money.ts';

/** The tenant wall: nothing crosses it but what a platform administrator carries. */
export interface Team {
  readonly id: Id;
  readonly name: string;
  readonly version: number;
  readonly createdAt: Instant;
}

/** A team's unit of work: models, deployments and their limits. */
export interface Project {
  readonly id: Id;
  readonly teamId: Id;
  readonly teamName: string;
  readonly name: string;
  /** What a deployment gets when it does not say. */
  readonly maxReplicas: number;
  readonly maxSpendPerHour: PicoUsdPerHour;
  readonly version: number;
  readonly createdAt: Instant;
}

/** Higher: a slip of the finger costs more; lower: ordinary deployments must ask. */
export const DEFAULT_MAX_REPLICAS = 10;
export const DEFAULT_MAX_SPEND_PER_HOUR: PicoUsdPerHour = 5n * PICO_PER_USD;
const MAX_REPLICAS_LIMIT = 1_000;

/** Null if the name may be used. */
export const checkName = (name: string, path: readonly string[]): Failure | null =>
  isName(name) ? null : failure('INVALID_INPUT', `The name ${NAME_RULE}.`, { path });

export const projectPath = (project: Project): string => `${project.teamName}/${project.name}`;

/** The limits of a project are positive and finite: there is no infinity. */
export function checkLimits(limits: { readonly maxReplicas: number; readonly maxSpendPerHour: PicoUsdPerHour }): Failure | null {
  if (limits.maxReplicas < 1 || limits.maxReplicas > MAX_REPLICAS_LIMIT) {
    return failure('INVALID_INPUT', `maxReplicas must be between 1 and ${MAX_REPLICAS_LIMIT}.`, {
      path: ['input', 'maxReplicas'],
    });
  }
  if (limits.maxSpendPerHour <= 0n)
    return failure('INVALID_INPUT', 'maxSpendPerHour must be above zero.', { path: ['input', 'maxSpendPerHour'] });
  return null;
}
