// Stands in for the PostgreSQL-15 suite where that server is not installed, so that its absence is named.
import { describe, it } from 'vitest';

describe('Storage on PostgreSQL 15', () => {
  it.skip('is not tried: /usr/lib/postgresql/15/bin is missing (Debian: apt-get install postgresql-15)');
});
