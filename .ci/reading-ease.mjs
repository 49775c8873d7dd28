// Prints how easy the prose of each page is to read, and its longest sentence: `npm run docs:reading`, with the paths of pages as
// arguments or without for all of them. The Flesch reading ease of plain English is 60 to 70, and below 50 a page is difficult.
import { readdirSync, readFileSync } from 'node:fs'
import { readingOf } from './prose.mjs'

const given = process.argv.slice(2)
const pages = given.length > 0 ? given : ['README.md', ...readdirSync('docs').filter(file => file.endsWith('.md')).map(file => `docs/${file}`)]
for (const page of pages) {
  const { ease, sentences, words, longest } = readingOf(readFileSync(page, 'utf8'))
  console.log(`${ease.toFixed(1).padStart(5)}  ${page}: ${words} words in ${sentences} sentences; the longest has ${longest.words}: ${longest.text}`)
}
