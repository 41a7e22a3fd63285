import { CloudUnknown } from './cloud-provider.port.ts';
import { EMPTY_BOOK, type RentalBook } from './rentals.ts';
import type { StateStore } from './state-store.port.ts';

/** The books of a provider, one change after the other; without a store they last as long as the process. */
export class KeptRentals {
  readonly #store: StateStore | null;
  #kept: { readonly version: number; readonly book: RentalBook } = { version: 0, book: EMPTY_BOOK };
  #turn: Promise<unknown> = Promise.resolve();

  constructor(store: StateStore | null) {
    this.#store = store;
  }

  read(): Promise<RentalBook> {
    return this.#inTurn(() => this.#load());
  }

  /** What `body` makes of the book is kept before its answer is given. Throws `CloudUnknown`, and keeps nothing, if somebody else was faster. */
  change<T>(body: (book: RentalBook) => { readonly book: RentalBook; readonly answer: T }): Promise<T> {
    return this.#inTurn(async () => {
      const before = await this.#load();
      const { book, answer } = body(before);
      if (book !== before) await this.#save(book);
      return answer;
    });
  }

  async #load(): Promise<RentalBook> {
    const saved = await this.#store?.load().catch(unknown);
    // What was saved was checked when it was made: nobody else writes there.
    if (saved && saved.version !== this.#kept.version) this.#kept = { version: saved.version, book: bookIn(saved.text) };
    return this.#kept.book;
  }

  async #save(book: RentalBook): Promise<void> {
    const { version } = this.#kept;
    if (this.#store && !(await this.#store.save(JSON.stringify(book), version).catch(unknown)))
      throw new CloudUnknown('somebody else changed the same pools meanwhile; they are looked at again');
    this.#kept = { version: version + 1, book };
  }

  #inTurn<T>(body: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(body);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }
}

/** Books of before there was all of it lack some. */
function bookIn(text: string): RentalBook {
  try {
    return { ...EMPTY_BOOK, ...(JSON.parse(text) as Partial<RentalBook>) };
  } catch (error) {
    return unknown(error as Error);
  }
}

const unknown = (cause: Error): never => {
  throw new CloudUnknown(`what is rented cannot be read or written: ${cause.message}`, { cause });
};
