import type { Project } from '../identity/team.ts';
import { failure, type Failure } from '../kernel/failure.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { ANY_GPU } from '../scheduler/demand.ts';
import { cheapestOf, perSecond, ratedReplicas, throughputInWords, type RatedReplicas } from '../scheduler/throughput.ts';
import type { DeploymentSpec } from './deployment.ts';
import type { Asked, ChosenPools, PlaceChooser } from './place-chooser.service.ts';

export interface ChosenReplicas extends ChosenPools {
  /** As it was asked for; where a throughput was, with the replicas that carry it, and on what. */
  readonly wish: DeploymentSpec;
  /** Why so many replicas; absent where they were asked for. */
  readonly because?: string;
}

/** How many replicas a wish comes to, and where they go: as many as it says, or as many as carry its throughput where that is cheapest in all. */
export class ReplicaChooser {
  readonly #places: Pick<PlaceChooser, 'choose'>;

  constructor(places: Pick<PlaceChooser, 'choose'>) {
    this.#places = places;
  }

  /** Failures: those of `PlaceChooser`; PRECONDITION_FAILED (nobody knows what a replica carries), LIMIT_EXCEEDED (it takes more than `maxReplicas`). */
  async choose(tx: Transaction, asked: Asked, project: Project): Promise<Result<ChosenReplicas, Failure>> {
    const { wish, version } = asked;
    const { milliRequestsPerSecond: goal, replicas } = wish;
    if (goal === undefined || replicas === 0) {
      const placed = await this.#places.choose(tx, asked, project);
      return placed.ok ? ok({ ...placed.value, wish }) : placed;
    }
    const rated = ratedReplicas(wish.resources ?? version.resources, goal, version.carries);
    if (rated.length === 0) return err(unknownRate(asked));
    const within = rated.filter((one) => one.replicas <= wish.maxReplicas);
    if (within.length === 0) return err(tooMany(asked, goal, rated));
    return this.#cheapest(tx, { asked, project, goal }, within);
  }

  /** Each accelerator is placed as if it were asked for by name. */
  async #cheapest(
    tx: Transaction,
    { asked, project, goal }: { readonly asked: Asked; readonly project: Project; readonly goal: number },
    rated: readonly RatedReplicas[],
  ): Promise<Result<ChosenReplicas, Failure>> {
    const placed = [];
    let refused: Failure | null = null;
    for (const one of rated) {
      const wish = { ...asked.wish, replicas: one.replicas, resources: resourcesOf(asked, one) };
      const chosen = await this.#places.choose(tx, { ...asked, wish }, project);
      if (!chosen.ok) refused ??= chosen.error;
      else if (isThere(chosen.value, asked, one))
        placed.push({ ...one, ...chosen.value, wish, hourly: hourlyOf(chosen.value, one) });
    }
    const won = cheapestOf(placed);
    if (!won) return err(refused ?? unknownMachines(asked));
    const { wish, placement, pools, index, isRented } = won;
    return ok({ wish, placement, pools, index, isRented, because: throughputInWords(goal, won, asked.version.number) });
  }
}

/** Where what was asked for names its accelerator already it stays as it is, so that nothing looks changed. */
const resourcesOf = ({ wish, version }: Asked, { resources }: RatedReplicas): DeploymentSpec['resources'] =>
  wantsAny({ wish, version }) ? resources : wish.resources;

const wantsAny = ({ wish, version }: Pick<Asked, 'wish' | 'version'>): boolean =>
  (wish.resources ?? version.resources).accelerator?.model === ANY_GPU;

/** Pools that there are already must say that they have that accelerator, unless it was asked for by name. */
function isThere({ isRented, pools, index }: ChosenPools, asked: Asked, { rate }: RatedReplicas): boolean {
  if (isRented || !wantsAny(asked)) return true;
  const models = new Map(index.candidates.map(({ offering }) => [offering.id, offering.accelerator?.model]));
  return pools.every(({ pool }) => pool.offeringId !== null && models.get(pool.offeringId) === rate.accelerator);
}

/** The table of a pool that there is already is of one replica. */
const hourlyOf = ({ isRented, placement }: ChosenPools, { replicas }: RatedReplicas): bigint =>
  isRented ? placement.hourly : placement.hourly * BigInt(replicas);

const AT = ['input', 'requestsPerSecond'];

function unknownRate({ wish, version }: Asked): Failure {
  const wanted = (wish.resources ?? version.resources).accelerator;
  const where = !wanted ? 'without an accelerator' : wanted.model === ANY_GPU ? 'on any GPU' : `on ${wanted.model}`;
  return failure('PRECONDITION_FAILED', `Version ${version.number} does not say what one replica carries ${where}.`, {
    path: AT,
    hint: 'Register a version with `carries`, or ask for replicas.',
  });
}

function tooMany({ wish, version }: Asked, goal: number, rated: readonly RatedReplicas[]): Failure {
  const [least] = [...rated].sort((a, b) => a.replicas - b.replicas);
  const why = least ? throughputInWords(goal, least, version.number) : `${perSecond(goal)} requests per second are asked for.`;
  return failure('LIMIT_EXCEEDED', `${why} maxReplicas is ${wish.maxReplicas}.`, { path: ['input', 'maxReplicas'] });
}

const unknownMachines = ({ version }: Asked): Failure =>
  failure(
    'PRECONDITION_FAILED',
    `Its pools do not say that they have an accelerator of which version ${version.number} says what it carries.`,
    {
      path: AT,
      hint: 'Name the accelerator, or ask for replicas.',
    },
  );
