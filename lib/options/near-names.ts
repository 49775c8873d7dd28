/** Place of an option: its section, empty at the top level, and its name there. */
interface Place {
  readonly section: string
  readonly name: string
}

/** Distance, in letters, of a name that contains the written one, such as `allowedOrigins` for `origins`. */
const partOfName = 3

/** Minimum length of a part of a name. Shorter ones match too many names. */
const minPart = 4

/** Distance, in letters, of the right name in the wrong section. */
const elsewhere = { same: 0.5, plural: 0.75 }

/** Maximum additional distance, in letters, of options that are suggested beside the nearest one. */
const tie = 0.5

/** Maximum number of suggested names. */
const maxNames = 2

/**
 * Options that an unknown name may mean, the nearest first. Options are written with their section, like `limits.rate`. A name in the same
 * section may be misspelt, written in another case, or abbreviated; a name in another section must be equal, or its plural.
 */
export function nearNames (written: string, options: readonly string[]): string[] {
  const place = placeOf(written)
  const near = options.map(option => ({ option, distance: distanceTo(place, placeOf(option)) })).sort((a, b) => a.distance - b.distance)
  const [nearest] = near
  if (nearest === undefined || nearest.distance === Infinity) return []
  if (nearest.distance === 0) return [nearest.option]
  return near.filter(({ distance }) => distance <= nearest.distance + tie).slice(0, maxNames).map(({ option }) => option)
}

function placeOf (option: string): Place {
  const at = option.lastIndexOf('.')
  return { section: option.slice(0, Math.max(0, at)), name: plain(option.slice(at + 1)) }
}

/** Removes differences in spelling: `onMessage`, `on_message` and `onmessage` become equal. */
function plain (name: string): string {
  return name.replace(/[-_\s]/g, '').toLowerCase()
}

/** Number of wrong letters; `Infinity` for another name. */
function distanceTo (written: Place, option: Place): number {
  if (written.section !== option.section) return distanceElsewhere(written.name, option.name)
  const distance = editDistance(written.name, option.name)
  if (distance <= Math.max(written.name.length, option.name.length) / 3) return distance
  return written.name.length >= minPart && option.name.includes(written.name) ? partOfName : Infinity
}

function distanceElsewhere (written: string, name: string): number {
  if (written === name) return elsewhere.same
  return `${written}s` === name || written === `${name}s` ? elsewhere.plural : Infinity
}

/** Number of letters to insert, remove, replace, or swap with the next one, to turn one word into another. */
export function editDistance (from: string, to: string): number {
  const rows = [Array.from({ length: to.length + 1 }, (_, at) => at)]
  for (let i = 1; i <= from.length; i++) {
    rows[i] = [i]
    for (let j = 1; j <= to.length; j++) {
      const isSame = from[i - 1] === to[j - 1]
      const isExchanged = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]
      rows[i][j] = Math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (isSame ? 0 : 1))
      if (isExchanged) rows[i][j] = Math.min(rows[i][j], rows[i - 2][j - 2] + 1)
    }
  }
  return rows[from.length][to.length]
}
