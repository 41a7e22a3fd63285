import { digestOf } from '../kernel/digest.ts';
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

/** Long enough that no two installations of an account share one by chance; short enough for names of pools to stay readable. */
const ID_LENGTH = 10;

/** What others may know this installation by, such as the tags of its machines: follows from the secret, and tells nothing of it. */
export const installationIdOf = (secret: string): string => {
  const digest = digestOf(`the public id of the installation with the secret ${secret}`);
  return digest.slice('sha256:'.length, 'sha256:'.length + ID_LENGTH);
};
