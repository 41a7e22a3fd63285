import type { ApplyResult, WorkloadSpec } from '../deployments/cluster.port.ts';
import type { Id } from '../kernel/id.ts';

/** What this machine may run, and for whom. */
export interface Admission {
  /** `PURSER_ALLOW_PROCESS=1`: commands of users may run here. */
  readonly allowProcess: boolean;
  /** As root every project has a user of its own; an ordinary user cannot keep two teams apart. */
  readonly isRoot: boolean;
  /** Teams that are served already. */
  readonly teamIds: readonly Id[];
}

/** Null if the workload may run here, else the refusal. */
export function admit(spec: WorkloadSpec, { allowProcess, isRoot, teamIds }: Admission): ApplyResult | null {
  if (spec.runtime.format === 'container')
    return refused('NO_CONTAINER_RUNTIME', 'This machine has no container engine that Purser can use.');
  if (spec.runtime.format === 'process' && !allowProcess)
    return refused(
      'PROCESS_NOT_ALLOWED',
      'This machine runs no commands of users; its operator can allow it with PURSER_ALLOW_PROCESS=1.',
    );
  if (spec.runtime.format === 'process' && spec.runtime.command.length === 0)
    return refused('NO_COMMAND', 'The command is empty.');
  if (!isRoot && teamIds.some((teamId) => teamId !== spec.teamId))
    return refused(
      'ONE_TEAM_ONLY',
      'This runtime is not root and cannot keep two teams apart: it serves the one team that it already has.',
    );
  return null;
}

const refused = (reason: string, message: string): ApplyResult => ({ outcome: 'refused', reason, message });
