// The links of a page, and where they lead.
import { posix } from 'node:path'
import GithubSlugger from 'github-slugger'
import { marked, type Token } from 'marked'
import { textOf } from '../../.ci/prose.mjs'

/** The links and images of a page, and what can stand behind the `#` of a link to it. */
export function linksAndAnchors (markdown: string): { links: string[], anchors: Set<string> } {
  const slugger = new GithubSlugger()
  const links: string[] = []
  const anchors = new Set<string>()
  marked.walkTokens(marked.lexer(markdown), (token: Token) => {
    if (token.type === 'heading') anchors.add(slugger.slug(textOf(token.tokens!)))
    if (token.type === 'link' || token.type === 'image') links.push(token.href)
    if (token.type !== 'html') return
    for (const [, name, value] of token.raw.matchAll(/\s(href|src|srcset|id|name)="([^"]*)"/g)) {
      if (name === 'id' || name === 'name') anchors.add(value)
      else links.push(value)
    }
  })
  return { links, anchors }
}

/** Why a link of a page leads nowhere; `undefined` where it leads somewhere. `textAt` returns `undefined` where there is no file. */
export function linkFault (page: string, link: string, textAt: (path: string) => string | undefined): string | undefined {
  if (/^(?:https:|mailto:|http:\/\/localhost\b)/.test(link)) return undefined
  if (/^(?:[a-z+.-]+:|\/)/i.test(link)) return 'is neither https nor relative'
  const [path, anchor] = link.split('#', 2)
  const file = path === '' ? page : posix.normalize(posix.join(posix.dirname(page), decodeURI(path)))
  const text = textAt(file)
  if (text === undefined) return `leads to no file: ${file}`
  if (anchor === undefined) return undefined
  if (!file.endsWith('.md')) return /^L\d+(?:-L\d+)?$/.test(anchor) ? undefined : 'has an anchor in a file without headings'
  return linksAndAnchors(text).anchors.has(anchor) ? undefined : `leads to no heading of ${file}`
}

/** The faults of all links of a page. */
export function linkFaults (page: string, textAt: (path: string) => string | undefined): string[] {
  return linksAndAnchors(textAt(page)!).links.flatMap(link => {
    const fault = linkFault(page, link, textAt)
    return fault === undefined ? [] : [`${link} ${fault}`]
  })
}
