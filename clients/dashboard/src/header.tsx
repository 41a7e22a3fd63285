export interface HeaderProps {
  readonly page: 'overview' | 'graphiql';
  readonly name?: string | undefined;
  readonly onSignOut: () => void;
}

export function Header({ page, name, onSignOut }: HeaderProps) {
  const link = (target: HeaderProps['page'], href: string, text: string) => (
    <a href={href} aria-current={page === target ? 'page' : undefined}>
      {text}
    </a>
  );
  return (
    <header className="purser bar">
      <h1>Purser</h1>
      <nav aria-label="Pages">
        {link('overview', '/', 'Overview')}
        {link('graphiql', '/graphiql', 'GraphiQL')}
      </nav>
      <span className="soft name" title={name}>
        {name}
      </span>
      <button type="button" onClick={onSignOut}>
        Sign out
      </button>
    </header>
  );
}
