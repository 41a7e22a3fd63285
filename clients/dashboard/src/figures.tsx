import type { DashboardQuery } from '../../typescript/generated/graphql.ts';
import { requestsOf, servingOf, sum } from './counts.ts';
import { Money } from './money.tsx';

export function Figures({ data }: { readonly data: DashboardQuery }) {
  const { nodes, pageInfo } = data.deployments;
  const more = pageInfo.hasNextPage ? ' shown' : '';
  const ready = nodes.filter(({ status }) => status.phase === 'READY').length;
  return (
    <dl className="figures">
      <div>
        <dt>Deployments ready</dt>
        <dd>
          {ready}{' '}
          <small>
            of {nodes.length}
            {more}
          </small>
        </dd>
      </div>
      <div>
        <dt>Replicas serving</dt>
        <dd>
          {sum(nodes.map(servingOf))}{' '}
          <small>
            of {sum(nodes.map(({ replicas }) => replicas.length))}
            {more}
          </small>
        </dd>
      </div>
      <div>
        <dt>Requests, 30 days</dt>
        <dd>{requestsOf(data.costs).toLocaleString('en')}</dd>
      </div>
      <div className="cost">
        <dt>Cost so far, 30 days {data.costs.isEstimate && <abbr title="The newest minutes are still open.">estimate</abbr>}</dt>
        <dd data-testid="total">
          <Money amount={data.costs.total.amount} />
        </dd>
      </div>
    </dl>
  );
}
