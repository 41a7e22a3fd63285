import type { Principal } from '../kernel/principal.ts';
import type { Scope } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { fencedWrite } from '../persistence/fenced-write.ts';
import type { Lease } from '../persistence/lease.ts';
import { failureOfSql } from '../persistence/sql-failure.ts';
import type { DeployInput, DeployOptions, DeployService } from './deploy.service.ts';
import type { Deployment } from './deployment.ts';

export interface RedeployDeps {
  readonly database: Database;
  readonly deploy: Pick<DeployService, 'deployWithin'>;
}

/** A deployment whose wish is said once more. */
export interface Redeployed {
  readonly deployment: Deployment;
  /** The version that it runs, whatever its alias points to by now. */
  readonly modelVersion: number;
}

/** Undoes what was written on the way. */
class Refused extends Error {}

/** The wish as it is, and how it is carried out as long as nobody changes it meanwhile. */
export const asItIs = ({
  deployment,
  modelVersion,
}: Redeployed): { readonly wish: DeployInput; readonly options: DeployOptions } => {
  const { teamName, projectName, name, spec, generation } = deployment;
  return {
    wish: {
      ...{ project: { teamName, name: projectName }, name, model: spec.model, version: spec.version },
      manager: spec.manager ?? null,
    },
    options: { dryRun: false, planHash: null, expectedVersion: generation, pinnedVersion: modelVersion },
  };
};

/** Under the lease or, with `LeaseLost`, not at all; every guard, quota and rule of a rollout holds. Null = done; else why not, with nothing written. */
export async function redeploy(
  { database, deploy }: RedeployDeps,
  turn: { readonly scope: Scope; readonly lease: Lease; readonly principal: Principal },
  again: Redeployed,
  more: Partial<DeployOptions> = {},
): Promise<string | null> {
  const { wish, options } = asItIs(again);
  const caller = { principal: turn.principal, idempotencyKey: null };
  try {
    await fencedWrite(database, turn, async (tx) => {
      const outcome = await deploy.deployWithin(tx, caller, wish, { ...options, ...more });
      if (!outcome.ok) throw new Refused(outcome.error.message);
    });
    return null;
  } catch (error) {
    const why = error instanceof Refused ? error.message : failureOfSql(error)?.message;
    if (why === undefined) throw error;
    return why;
  }
}
