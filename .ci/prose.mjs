// How easy the prose of a Markdown page is to read. Code blocks, tables, headings, images and HTML are not prose.
import { flesch } from 'flesch'
import { marked } from 'marked'
import { syllable } from 'syllable'

/** Stands for a code span in a sentence. A capital letter, because a sentence may begin with a code span. */
const codeSpan = 'Ꝏ'
const segmenter = new Intl.Segmenter('en', { granularity: 'sentence' })

/** The text of inline tokens: the text of a link, nothing of an image or of HTML, and `ofCode` decides about a code span. */
export function textOf (tokens, ofCode = code => code) {
  return tokens.map(token => {
    if (token.type === 'codespan') return ofCode(token.text)
    if (['image', 'html', 'checkbox'].includes(token.type)) return ''
    if (token.type === 'br') return ' '
    return token.tokens === undefined ? token.text : textOf(token.tokens, ofCode)
  }).join('')
}

/** The inline tokens of each paragraph and list item. */
function blocksOf (tokens) {
  return tokens.flatMap(token => {
    if (token.type === 'paragraph' || token.type === 'text') return [token.tokens ?? [token]]
    if (token.type === 'list') return token.items.flatMap(item => blocksOf(item.tokens))
    return token.type === 'blockquote' ? blocksOf(token.tokens) : []
  })
}

function sentencesOf (tokens) {
  const codes = []
  const keep = code => {
    codes.push(code)
    return codeSpan
  }
  const text = textOf(tokens, keep)
    .replace(/^\[!\w+\]/, '')
    .replaceAll(/\b(?:e\.g|i\.e)\./g, abbreviation => abbreviation.replaceAll('.', ''))
    .replaceAll(/\s+/g, ' ')
  return [...segmenter.segment(text)]
    .map(({ segment }) => ({ words: wordsOf(segment), text: segment.trim().replaceAll(codeSpan, () => `\`${codes.shift()}\``) }))
    .filter(({ words }) => words.some(isProse))
}

/** `real-time` is one word, and so is a code span, whatever is in it. */
function wordsOf (sentence) {
  return sentence.split(/[\s—–/]+/).filter(word => /[\p{L}\p{N}]/u.test(word))
}

function isProse (word) {
  return !word.includes(codeSpan)
}

/**
 * `ease`: Flesch reading ease; 100 is very easy, below 50 is difficult. A code span counts as a word of its sentence. It has as many
 * syllables as the words of the page have on average, so that it makes the page neither easier nor more difficult.
 */
export function readingOf (markdown) {
  const sentences = blocksOf(marked.lexer(markdown)).flatMap(sentencesOf)
  const words = sentences.flatMap(({ words }) => words)
  const prose = words.filter(isProse)
  const syllables = prose.reduce((sum, word) => sum + Math.max(1, syllable(word)), 0)
  const longest = sentences.reduce((longest, { words, text }) => words.length > longest.words ? { words: words.length, text } : longest, { words: 0, text: '' })
  return {
    ease: flesch({ sentence: sentences.length, word: words.length, syllable: syllables / prose.length * words.length }),
    sentences: sentences.length,
    words: words.length,
    longest
  }
}
