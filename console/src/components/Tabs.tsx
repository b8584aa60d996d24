import { Link, type LinkOptions } from '@tanstack/react-router';

export interface TabLink {
  id: string;
  label: string;
  /** A number beside the label. */
  count?: string;
  link: LinkOptions;
}

/** Tabs whose choice is in the address. They are links, so that Back works and each has an address of its own. */
export function Tabs({ label, tabs, selected }: { label: string; tabs: readonly TabLink[]; selected: string }) {
  return (
    <nav className="tabs" aria-label={label}>
      {tabs.map(({ id, label: words, count, link }) => (
        // Exact: otherwise the router marks a tab without search parameters as the current page, too.
        <Link key={id} {...link} activeOptions={{ exact: true }} aria-current={id === selected ? 'page' : undefined}>
          {words}
          {count !== undefined && <span className="n num">{count}</span>}
        </Link>
      ))}
    </nav>
  );
}
