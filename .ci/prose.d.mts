import type { Token } from 'marked'

export interface Reading {
  /** NaN for a page without prose. */
  ease: number
  sentences: number
  words: number
  longest: { words: number, text: string }
}

export function textOf (tokens: Token[], ofCode?: (code: string) => string): string
export function readingOf (markdown: string): Reading
