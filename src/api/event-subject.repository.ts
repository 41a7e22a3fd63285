import type { Id } from '../kernel/id.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { idOfType } from '../graphql/global-id.ts';
import { mayDo } from '../identity/authorize.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { EventSubjectStore } from './event-subject-store.port.ts';

interface Found {
  readonly id: Id;
  readonly teamId: Id;
  readonly projectId: Id;
}

const DEPLOYMENT = `select d.id, d.team_id as "teamId", d.project_id as "projectId" from deployment d
  join project p on p.id = d.project_id join team t on t.id = p.team_id`;
const PROJECT = `select p.id, p.team_id as "teamId", p.id as "projectId" from project p join team t on t.id = p.team_id`;

/** Finds what an event filter names, deleted deployments included: their story is still told. */
export class EventSubjectRepository implements EventSubjectStore {
  deploymentId(tx: Transaction, principal: Principal, reference: string): Promise<Id | null> {
    const [team, project, name, ...rest] = reference.split('/');
    const id = idOfType('Deployment', reference);
    if (id) return visible(tx, principal, `${DEPLOYMENT} where d.id = $1`, [id]);
    if (!team || !project || !name || rest.length > 0) return Promise.resolve(null);
    const byPath = `${DEPLOYMENT} where t.name = $1 and p.name = $2 and d.name = $3 order by d.created_at desc limit 1`;
    return visible(tx, principal, byPath, [team, project, name]);
  }

  projectId(tx: Transaction, principal: Principal, reference: string): Promise<Id | null> {
    const [team, name, ...rest] = reference.split('/');
    const id = idOfType('Project', reference);
    if (id) return visible(tx, principal, `${PROJECT} where p.id = $1`, [id]);
    if (!team || !name || rest.length > 0) return Promise.resolve(null);
    return visible(tx, principal, `${PROJECT} where t.name = $1 and p.name = $2`, [team, name]);
  }

  async isThere(tx: Transaction, principal: Principal, deploymentId: Id): Promise<boolean> {
    return (await visible(tx, principal, `${DEPLOYMENT} where d.id = $1 and d.gone_at is null`, [deploymentId])) !== null;
  }
}

/** Absent and forbidden are the same null. */
async function visible(tx: Transaction, principal: Principal, text: string, values: readonly string[]): Promise<Id | null> {
  const [found] = await sqlOf(tx).query<Found>(text, values);
  return found && mayDo(principal, 'event.read', found) ? found.id : null;
}
