// Operations of Compute Engine and GKE, and lists in pages, as the public references describe them.
import { DoubleRefusal, type DoubleAnswer, type DoubleRequest, type HttpDouble } from './http-double.ts';

/** What takes no machines. */
export const OPERATION_MS = 2_000;
const PAGE = 2;

export interface OperationError {
  readonly code: string;
  readonly message: string;
}

export const missing = (name: string): never => {
  throw new DoubleRefusal(404, 'notFound', `The resource '${name}' was not found`);
};

interface Operation {
  readonly name: string;
  readonly place: string;
  readonly operationType: string;
  readonly targetLink: string;
  readonly insertedAt: number;
  readonly endsAt: number;
  readonly error: OperationError | null;
}

export interface StartedOperation {
  /** `container` for those of GKE. */
  readonly place: string;
  readonly operationType: string;
  readonly target: string;
  readonly takesMs?: number;
  readonly error?: OperationError | null;
}

export class GcpOperations {
  readonly #world: { readonly http: HttpDouble; readonly now: number; readonly unreachable: boolean };
  readonly #all: Operation[] = [];

  constructor(world: { readonly http: HttpDouble; readonly now: number; readonly unreachable: boolean }) {
    this.#world = world;
  }

  start({ place, operationType, target, takesMs = OPERATION_MS, error = null }: StartedOperation): DoubleAnswer {
    const { now, http } = this.#world;
    const operation: Operation = {
      ...{ name: `operation-${this.#all.length + 1}`, place, operationType, targetLink: `${http.url}${target}` },
      ...{ insertedAt: now, endsAt: now + takesMs, error },
    };
    this.#all.push(operation);
    return { body: this.#shown(operation) };
  }

  one(name = ''): DoubleAnswer {
    return { body: this.#shown(this.#all.find((operation) => operation.name === name) ?? missing(name)) };
  }

  unfinished(request: DoubleRequest): DoubleAnswer {
    if (request.query.get('filter') !== 'status != DONE') throw new DoubleRefusal(400, 'invalid', 'filter');
    const mine = this.#all.filter(({ place, endsAt }) => place === request.names['place'] && endsAt > this.#world.now);
    return page(
      request,
      'items',
      mine.map((one) => this.#shown(one)),
    );
  }

  aggregated(request: DoubleRequest): DoubleAnswer {
    const [, type = ''] = /^operationType = "([\w.]+)"$/.exec(request.query.get('filter') ?? '') ?? [];
    if (type === '') throw new DoubleRefusal(400, 'invalid', 'filter');
    const found = this.#all.filter(({ operationType }) => operationType === type);
    const rows = found.map((one) => [one.place, this.#shown(one)] as const);
    return aggregated(request, this.#world.unreachable, 'operations', rows);
  }

  #shown({ name, operationType, targetLink, insertedAt, endsAt, error, place }: Operation) {
    const isDone = this.#world.now >= endsAt;
    const told =
      place === 'container' ? error && { code: Number(error.code), message: error.message } : error && { errors: [error] };
    const outcome = isDone && told ? { error: told } : {};
    const insertTime = new Date(insertedAt).toISOString();
    return { name, operationType, targetLink, insertTime, status: isDone ? 'DONE' : 'RUNNING', ...outcome };
  }
}

/** By place, with a warning for each that has nothing to say. */
export function aggregated(
  request: DoubleRequest,
  unreachable: boolean,
  field: string,
  rows: readonly (readonly [string, unknown])[],
): DoubleAnswer {
  const { items, ...more } = slice(request, rows);
  const warning = { code: unreachable ? 'UNREACHABLE' : 'NO_RESULTS_ON_PAGE', message: '' };
  const places: Record<string, unknown> = { 'zones/europe-west4-a': { warning } };
  for (const [place, row] of items)
    places[place] = { [field]: [...((places[place] as Record<string, unknown[]> | undefined)?.[field] ?? []), row] };
  return { body: { kind: `compute#${field}AggregatedList`, items: places, ...more } };
}

/** An empty list is left out. */
export function page(request: DoubleRequest, field: string, rows: readonly unknown[]): DoubleAnswer {
  const { items, ...more } = slice(request, rows);
  return { body: { ...(items.length > 0 ? { [field]: items } : {}), ...more } };
}

function slice<T>({ query }: DoubleRequest, rows: readonly T[]): { items: readonly T[]; nextPageToken?: string } {
  const from = Number(query.get('pageToken') ?? 0);
  const items = rows.slice(from, from + PAGE);
  return from + PAGE < rows.length ? { items, nextPageToken: String(from + PAGE) } : { items };
}
