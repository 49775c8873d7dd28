import { isIPv6 } from 'node:net'

/** Number of groups of an IPv6 address that identify a network. One customer chooses the other groups. */
const networkGroups = 4

/** Network to which limits apply: the address itself, or the /64 of an IPv6 address. */
export function networkOf (address = ''): string {
  if (!isIPv6(address)) return address
  const groups = groupsOf(address.split('%')[0])
  const isMapped = groups[5] === 0xffff && groups.slice(0, 5).every(group => group === 0)
  if (isMapped) return [groups[6] >> 8, groups[6] & 255, groups[7] >> 8, groups[7] & 255].join('.')
  return `${groups.slice(0, networkGroups).map(group => group.toString(16)).join(':')}::/64`
}

/** The eight groups of an IPv6 address. */
function groupsOf (address: string): number[] {
  const [head, tail] = address.split('::').map(numbersOf)
  return tail === undefined ? head : [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail]
}

function numbersOf (groups: string): number[] {
  if (groups === '') return []
  return groups.split(':').flatMap(group => {
    if (!group.includes('.')) return [parseInt(group, 16)]
    // The last two groups may be written as an IPv4 address.
    const [a, b, c, d] = group.split('.').map(Number)
    return [a << 8 | b, c << 8 | d]
  })
}
