import type { Random } from '../kernel/random.ts';
import type { Scope } from '../kernel/transaction.ts';
import type { Database } from './database.ts';
import { sqlOf } from './sql.ts';

const SCOPE: Scope = { kind: 'reconciler', loop: 'bootstrap' };
const SECRET_BYTES = 32;

/** The one secret of this installation, the same for every instance on its database; made at the first start. */
export const installationSecret = (database: Database, random: Random): Promise<string> =>
  database.write(SCOPE, async (tx) => {
    const fresh = Buffer.from(random.bytes(SECRET_BYTES)).toString('base64url');
    await sqlOf(tx).execute(`insert into installation (secret) values ($1) on conflict do nothing`, [fresh]);
    const [row] = await sqlOf(tx).query<{ secret: string }>(`select secret from installation`);
    return row?.secret ?? fresh;
  });
