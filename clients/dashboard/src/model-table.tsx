import type { DashboardQuery } from '../../typescript/generated/graphql.ts';
import { clock } from './clock.ts';
import { Table, type Column } from './table.tsx';

type Model = DashboardQuery['models']['nodes'][number];

const newest = ({ versions }: Model) => versions.nodes[0];

const COLUMNS: readonly Column<Model>[] = [
  { name: 'Model', of: ({ path }) => path },
  { name: 'Newest version', of: (model) => newest(model)?.number ?? 'none yet' },
  { name: 'Format', of: (model) => newest(model)?.format ?? '–' },
  {
    name: 'Registered',
    of: (model) => {
      const version = newest(model);
      return version ? (
        <time className="unbroken" dateTime={version.createdAt} title={version.createdAt}>
          {clock(version.createdAt)}
        </time>
      ) : (
        '–'
      );
    },
  },
  { name: 'Aliases', of: ({ aliases }) => aliases.map(({ name, version }) => `${name} → ${version.number}`).join(', ') || '–' },
];

export function ModelTable({ models }: { readonly models: DashboardQuery['models'] }) {
  return (
    <Table
      title="Models"
      columns={COLUMNS}
      items={models.nodes}
      empty={
        <>
          There is none that this token may see. To register one: <code>purser models register TEAM/PROJECT/MODEL</code>
        </>
      }
      more={models.pageInfo.hasNextPage ? 'The first 50 are shown; all of them: purser models list' : null}
    />
  );
}
