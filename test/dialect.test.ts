// Keeps phrases out of the documentation, the comments and the test titles that make them hard to read. dialect.txt lists them.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { root } from './root.js'

const phrases = readFileSync(join(root, 'test/dialect.txt'), 'utf8').split('\n').filter(line => line !== '' && !line.startsWith('#'))
const found = new RegExp(`(?<![\\w-])(?:${phrases.map(phrase => phrase.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')})(?![\\w-])`, 'gi')

/** The phrases in a text, each with the words around it. A phrase may go over the end of a line, in a comment too. */
function phrasesIn (text: string): string[] {
  const line = text.replace(/\s*\n\s*(?:\*(?!\/)|\/\/|>)?\s*/g, ' ')
  return [...line.matchAll(found)].map(({ index, 0: phrase }) => `'${phrase}' in: ${line.slice(Math.max(0, index - 40), index + phrase.length + 40)}`)
}

function filesIn (folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(file => /\.(?:tsx?|md|mjs|mts)$/.test(file) && !file.includes('node_modules'))
    .map(file => join(folder, file))
}

t.test('no text of the project has a phrase of dialect.txt', async t => {
  const files = ['README.md', 'CHANGELOG.md', ...['docs', 'lib', 'examples', 'bench', 'test', '.ci'].flatMap(filesIn)].filter(file => !file.includes('dialect.'))
  t.ok(files.length > 300)
  for (const file of files) t.strictSame(phrasesIn(readFileSync(join(root, file), 'utf8')), [], file)
})

t.test('a phrase is found in any case and over the end of a line, and not inside of a longer word', async t => {
  t.ok(phrases.length >= 20, `${phrases.length} phrases`)
  const [first] = phrases.filter(phrase => phrase.includes(' '))
  t.equal(phrasesIn(`X ${first.toUpperCase()} y`).length, 1)
  t.equal(phrasesIn(`  /**\n   * X ${first.replace(' ', '\n   * ')}.\n   */`).length, 1)
  t.equal(phrasesIn(`x${first}y`).length, 0)
})
