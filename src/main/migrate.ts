import { openDatabase } from '../persistence/open-database.ts';
import { readConfig } from './config.ts';
import { prepareDataFolder } from './data-folder.ts';

/** `purser migrate`: brings the database up to date and stops. Safe to repeat and to run at once with others. */
export async function migrate(): Promise<void> {
  const config = readConfig(process.env, process.cwd());
  prepareDataFolder(config.dataDir);
  const opened = await openDatabase({
    url: config.databaseUrl,
    ownerUrl: config.databaseOwnerUrl,
    dataDir: config.dataDir,
    applicationName: 'purser migrate',
  });
  console.log(opened.migrated.length > 0 ? `Migrated: ${opened.migrated.join(', ')}` : 'The database is up to date.');
  await opened.close();
}
