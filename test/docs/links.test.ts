// The links of the documentation lead to a file of this repository, and those with an anchor to a heading. No network is needed.
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { root } from '../root.js'
import { linkFault, linkFaults, linksAndAnchors } from './link.js'
import { pages } from './page.js'

/** The text of a file of this repository, and of a folder an empty one. What is built or installed is not in the repository. */
function textAt (path: string): string | undefined {
  if (/^(?:\.\.|dist|node_modules)(?:\/|$)/.test(path)) return undefined
  const file = join(root, path)
  if (!existsSync(file)) return undefined
  return statSync(file).isDirectory() ? '' : readFileSync(file, 'utf8')
}

t.test('the anchor of a heading is the one that GitHub gives it', async t => {
  const headings = {
    'Push to one user': 'push-to-one-user',
    '`app.ws.sendToUser()`': 'appwssendtouser',
    'What is it? (And why)': 'what-is-it-and-why',
    'Redis & nginx': 'redis--nginx',
    'A [link](x.md) and *more*': 'a-link-and-more',
    'snake_case, real-time': 'snake_case-real-time',
    '4000–4099: *over*': '40004099-over'
  }
  for (const [heading, anchor] of Object.entries(headings)) t.strictSame([...linksAndAnchors(`## ${heading}`).anchors], [anchor])
  t.strictSame([...linksAndAnchors('# Twice\n\n## Twice\n\n<a id="here"></a>').anchors], ['twice', 'twice-1', 'here'])
})

t.test('links are found where Markdown has them, and not in code', async t => {
  const text = [
    '[a](a.md) ![b](b.png) `[c](c.md)` [![d](d.svg)](d.md) <img alt="e" src="e.png"> [f][g]', '', '[g]: g.md', '',
    '```md', '[h](h.md)', '```', '', '| [i](i.md) |', '|---|', '| [j](j.md) |'
  ].join('\n')
  t.strictSame(linksAndAnchors(text).links.sort(), ['a.md', 'b.png', 'd.md', 'd.svg', 'e.png', 'g.md', 'i.md', 'j.md'])
})

t.test('a link that leads nowhere is found', async t => {
  const files: Record<string, string> = { 'README.md': '# Top\n## Use it', 'docs/a.md': '# A', 'lib/x.ts': '' }
  const faultOf = (link: string) => linkFault('docs/a.md', link, path => files[path])
  const right = ['../README.md', '../README.md#use-it', '#a', 'a.md#a', '../lib/x.ts', '../lib/x.ts#L10', 'https://a.example/b', 'http://localhost:3000']
  const wrong = ['README.md', '../README.md#use', '#b', '../lib/x.ts#x', '../../README.md', '/README.md', 'http://a.example', 'file:a']
  for (const link of right) t.equal(faultOf(link), undefined, link)
  for (const link of wrong) t.type(faultOf(link), 'string', link)
})

for (const page of [...pages, 'CHANGELOG.md', 'bench/README.md']) {
  t.test(`the links of ${page} lead somewhere`, async t => {
    t.strictSame(linkFaults(page, textAt), [])
  })
}
