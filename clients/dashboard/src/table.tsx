import type { ReactNode } from 'react';

export interface Column<T> {
  readonly name: string;
  /** Right-aligned. */
  readonly number?: boolean;
  readonly of: (item: T) => ReactNode;
}

export interface TableProps<T> {
  readonly title: string;
  /** The first names the row. */
  readonly columns: readonly Column<T>[];
  readonly items: readonly T[];
  readonly empty: ReactNode;
  /** Said below when there is more than is shown; null = there is not. */
  readonly more: string | null;
}

/** A titled table; on a narrow screen each row is a card of named values. Roles are said, because a card is no table to a browser. */
export function Table<T extends { readonly id: string }>({ title, columns, items, empty, more }: TableProps<T>) {
  const kind = ({ number }: Column<T>) => (number ? 'number' : undefined);
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      {items.length === 0 ? (
        <p className="soft">{empty}</p>
      ) : (
        <table role="table" aria-label={title}>
          <thead role="rowgroup">
            <tr role="row">
              {columns.map((column) => (
                <th key={column.name} role="columnheader" scope="col" className={kind(column)}>
                  {column.name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {items.map((item) => (
              <tr key={item.id} role="row">
                {columns.map((column, index) => (
                  <td
                    key={column.name}
                    role={index === 0 ? 'rowheader' : 'cell'}
                    data-name={column.name}
                    className={kind(column)}
                  >
                    <div>{column.of(item)}</div>
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {more && <p className="soft">{more}</p>}
    </section>
  );
}
