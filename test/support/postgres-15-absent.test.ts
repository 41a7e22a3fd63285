// Runs only where Debian's PostgreSQL 15 is not installed (`.ci/run` installs it as root): a skipped test is how the absence gets into the
// closing lines of the gate.
import { describe, it } from 'vitest';

describe('Storage on PostgreSQL 15', () => {
  it.skip('is not tried: /usr/lib/postgresql/15/bin is missing (Debian: apt-get install postgresql-15)');
});
