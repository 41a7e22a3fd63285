import pg from 'pg';

/** What frames a transaction or proves a token is no statement of a level. */
const FRAME =
  /^(begin|commit|rollback|start transaction|set |select set_config)|from (api_token|token|principal|grant_row|role_grant)\b|event_head|sequence_events|from event\b/i;

/** Runs `body` and tells which statements the process sent meanwhile, but for transactions, tokens and the event log's own. */
export async function countingStatements<T>(
  body: () => Promise<T>,
): Promise<{ readonly value: T; readonly statements: readonly string[] }> {
  const original = Reflect.get(pg.Client.prototype, 'query') as (...args: unknown[]) => unknown;
  const statements: string[] = [];
  Reflect.set(pg.Client.prototype, 'query', function query(this: pg.Client, ...args: unknown[]): unknown {
    const [asked] = args;
    const text = typeof asked === 'string' ? asked : ((asked as { text?: string }).text ?? '');
    if (!FRAME.test(text.trim())) statements.push(text.trim().replace(/\s+/g, ' '));
    return original.apply(this, args);
  });
  try {
    return { value: await body(), statements };
  } finally {
    Reflect.set(pg.Client.prototype, 'query', original);
  }
}
