import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Instant } from '../kernel/instant.ts';
import type { Logger } from '../telemetry/logger.ts';
import { parseRouteTable } from '../traffic/router-contract/parse-route-table.ts';
import type { RouteTable } from '../traffic/router-contract/route-table.ts';
import { judgeTable, withCredentialsOf } from './table-guard.ts';

export interface TableKeeperDeps {
  readonly folder: string;
  readonly logger: Logger;
  readonly now: () => Instant;
  readonly apply: (table: RouteTable) => void;
}

/** The current table: guarded, kept on disk, and held back when it lost too much. */
export class TableKeeper {
  readonly #deps: TableKeeperDeps;
  #table: RouteTable | null = null;
  #held: RouteTable | null = null;
  #confirmedAt: Instant | null = null;

  constructor(deps: TableKeeperDeps) {
    this.#deps = deps;
    mkdirSync(deps.folder, { recursive: true, mode: 0o700 });
    this.#load();
  }

  get table(): RouteTable | null {
    return this.#table;
  }

  get held(): RouteTable | null {
    return this.#held;
  }

  /** Time since the control plane last said that this table is the newest, in ms; null before that. */
  get ageMs(): number | null {
    return this.#confirmedAt === null ? null : Math.max(0, this.#deps.now() - this.#confirmedAt);
  }

  confirm(): void {
    this.#confirmedAt = this.#deps.now();
  }

  offer(next: RouteTable): void {
    const verdict = judgeTable(this.#table, next);
    if (verdict.kind === 'stale') {
      this.#deps.logger.warn({ n: next.version.n, epoch: next.version.epoch }, 'an older table was refused');
      return;
    }
    this.confirm();
    if (verdict.kind === 'apply') {
      this.#apply(next);
      return;
    }
    this.#held = next;
    this.#deps.logger.error(
      { n: next.version.n, dropped: verdict.dropped, accept: this.#acceptFile },
      'a table that drops many deployments is held; create the file to accept it',
    );
    if (this.#table) this.#adopt(withCredentialsOf(this.#table, next));
  }

  /** Applies the held table once an operator has created the accept file; the file is used up. */
  checkAccepted(): void {
    if (!this.#held || !existsSync(this.#acceptFile)) return;
    rmSync(this.#acceptFile, { force: true });
    this.#deps.logger.warn({ n: this.#held.version.n }, 'the held table was accepted by an operator');
    this.#apply(this.#held);
  }

  get #acceptFile(): string {
    return join(this.#deps.folder, 'accept-held-table');
  }

  get #file(): string {
    return join(this.#deps.folder, 'table.json');
  }

  #apply(next: RouteTable): void {
    this.#held = null;
    this.#adopt(next);
  }

  #adopt(table: RouteTable): void {
    this.#table = table;
    this.#deps.apply(table);
    this.#save(table);
  }

  #save(table: RouteTable): void {
    try {
      writeFileSync(`${this.#file}.new`, JSON.stringify({ confirmedAt: this.#confirmedAt, table }), { mode: 0o600 });
      renameSync(`${this.#file}.new`, this.#file);
    } catch (error) {
      this.#deps.logger.error({ error: (error as Error).message }, 'the table could not be kept on disk');
    }
  }

  #load(): void {
    if (!existsSync(this.#file)) return;
    try {
      const stored = JSON.parse(readFileSync(this.#file, 'utf8')) as { confirmedAt: number | null; table: unknown };
      this.#table = parseRouteTable(stored.table);
      this.#confirmedAt = stored.confirmedAt;
      this.#deps.apply(this.#table);
    } catch (error) {
      this.#deps.logger.error({ error: (error as Error).message }, 'the table on disk is unreadable and was ignored');
    }
  }
}
