import { parentPort } from 'node:worker_threads';
import { invariant } from '../kernel/invariant.ts';
import type { FleetQuestion } from '../scheduler/fleet-planner.port.ts';
import { planFleetExactly } from '../scheduler/plan-fleet-exactly.ts';
import { planFleet } from '../scheduler/plan-fleet.ts';
import type { FleetSolver } from '../scheduler/fleet-solver.port.ts';

/** What one run of the solver may take, of which a plan needs two. Higher: whoever waits does so for longer; lower: less is proven. */
const SOLVER = { timeLimitMs: 500, gap: 0.01 };

const port = parentPort;
invariant(port, 'the planner of fleets runs in a thread of its own');
let solver: FleetSolver | null = null;

const openSolver = async (): Promise<FleetSolver> =>
  (await import('../scheduler/highs-fleet-solver.adapter.ts')).openHighsSolver(SOLVER);

/** Rejected where it cannot plan: that ends the thread, and whoever asked is told so. */
async function answer({ input, exact }: FleetQuestion): Promise<void> {
  if (exact) solver ??= await openSolver();
  port?.postMessage(solver && exact ? planFleetExactly(input, solver) : planFleet(input));
}

port.on('message', (question: FleetQuestion) => void answer(question));
