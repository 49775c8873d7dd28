import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readingOf } from '../../.ci/prose.mjs'
import { root } from '../root.js'

/** Pages that are read from top to bottom. Those about the protocol, failures and options are looked things up in. */
const easy = ['README.md', ...[
  'getting-started', 'guide', 'channels', 'client', 'react', 'chat', 'ai-sdk', 'ag-ui', 'scaling', 'testing', 'security', 'migrating', 'examples'
].map(name => `docs/${name}.md`)]

/** By the formula of Flesch. */
const easeOf = (words: number, sentences: number, syllables: number) => 206.835 - 1.015 * words / sentences - 84.6 * syllables / words

t.test('the ease of a text is computed from its words, sentences and syllables', async t => {
  t.match(readingOf('The cat sat on the mat.'), { sentences: 1, words: 6 })
  t.equal(readingOf('The cat sat on the mat.').ease.toFixed(3), easeOf(6, 1, 6).toFixed(3))
  const two = readingOf('A server keeps messages.\nThe cat sat! Why?')
  t.match(two, { sentences: 3, words: 8 })
  t.equal(two.ease.toFixed(3), easeOf(8, 3, 11).toFixed(3))
})

t.test('a code span is one word, and makes a text neither easier nor more difficult', async t => {
  const { ease, sentences, words } = readingOf('`await app.register(realtime)` sat on the `mat` of `a.b()`. `c` did, too.')
  t.same([sentences, words], [2, 10])
  t.equal(ease.toFixed(3), easeOf(10, 2, 10).toFixed(3))
  t.match(readingOf('See (`a`, `b`), i.e. the cat. Node.js 20.19 has it.'), { sentences: 2, words: 10 })
})

t.test('code blocks, tables, headings, images, HTML and addresses are no prose, and list items and quotes are', async t => {
  const text = [
    '# A heading', '', '![a picture](x.png) [![a badge](y.svg)](z)', '', '<!-- test: name -->', '```ts', 'const a = 1', '```', '',
    '| a | table |', '|---|---|', '| of | words |', '', 'The [cat](https://a.example/b) *sat* <kbd>on</kbd>:', '', '- the mat', '  - of the dog', '- `code`', '',
    '> [!NOTE]', '> It is real-time.'
  ].join('\n')
  t.match(readingOf(text), { sentences: 4, words: 4 + 2 + 3 + 3 })
})

t.test('the longest sentence is found, with its code', async t => {
  t.strictSame(readingOf('One `a b` is here. Two\n`c` and `d` are there now. Three.').longest, { words: 7, text: 'Two `c` and `d` are there now.' })
})

for (const page of easy) {
  t.test(`${page} has a reading ease of at least 50`, async t => {
    const { ease, words } = readingOf(readFileSync(join(root, page), 'utf8'))
    t.ok(words > 50, `${words} words`)
    t.ok(ease >= 50, `${ease.toFixed(1)}`)
  })
}

t.test('no sentence of the README has more than 30 words', async t => {
  const { words, text } = readingOf(readFileSync(join(root, 'README.md'), 'utf8')).longest
  t.ok(words <= 30, `${words} words: ${text}`)
})
