export interface Link {
  href: string
  text: string
  isCurrent: boolean
}

const pages = [['/', 'Notifications'], ['/chat', 'AI chat']]

/** Links to the pages of the demo, and to the `views` of the current page. */
export function Header ({ label, views }: { label: string, views: Link[] }) {
  return (
    <header>
      <h1>fastify-realtime <small>demo</small></h1>
      <Nav label='Pages' links={pages.map(([href, text]) => ({ href, text, isCurrent: href === location.pathname }))} />
      <Nav label={label} links={views} />
    </header>
  )
}

function Nav ({ label, links }: { label: string, links: Link[] }) {
  return (
    <nav aria-label={label}>
      {links.map(({ href, text, isCurrent }) => <a key={href} href={href} aria-current={isCurrent ? 'page' : undefined}>{text}</a>)}
    </nav>
  )
}
