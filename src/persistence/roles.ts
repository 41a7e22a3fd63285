import type pg from 'pg';

/** Owns the tables and migrates. */
export const OWNER_ROLE = 'purser_owner';
/** Serves: without BYPASSRLS, not a superuser, owns nothing. */
export const APP_ROLE = 'purser_app';

/** Makes both roles where they are missing; needs CREATEROLE. Safe when several do it at once. */
export async function ensureRoles(client: pg.Client | pg.ClientBase): Promise<void> {
  for (const role of [OWNER_ROLE, APP_ROLE]) {
    await client.query(`do $$ begin
      if not exists (select from pg_roles where rolname = '${role}') then
        create role ${role} login nosuperuser nocreatedb nocreaterole nobypassrls;
      end if;
    exception when duplicate_object or unique_violation then null;
    end $$`);
  }
}

/** What the app role may do with the tables, present and future, of the role that runs this (the owner). */
export const grantsTo = (role: string): string => grants(`"${role.replaceAll('"', '""')}"`);

const grants = (app: string): string => `
  grant usage on schema public to ${app};
  grant select, insert, update, delete on all tables in schema public to ${app};
  grant usage, select on all sequences in schema public to ${app};
  alter default privileges in schema public grant select, insert, update, delete on tables to ${app};
  alter default privileges in schema public grant usage, select on sequences to ${app};
`;
