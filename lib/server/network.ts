/** Groups of an IPv6 address that name a network: the rest is one customer's to choose. */
const networkGroups = 4

/** What an address counts as where addresses share something: itself, or the /64 of an IPv6 address. */
export function networkOf (address = ''): string {
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? []
  if (mapped !== undefined) return mapped
  if (!address.includes(':')) return address
  const [head, tail] = address.split('%')[0].split('::')
  const groups = groupsOf(head)
  // As many zeros as are left out, and more: they are cut off.
  if (tail !== undefined) groups.push(...Array<number>(Math.max(0, 8 - groups.length - groupsOf(tail).length)).fill(0), ...groupsOf(tail))
  return `${groups.slice(0, networkGroups).map(group => group.toString(16)).join(':')}::/64`
}

function groupsOf (text: string): number[] {
  return text === '' ? [] : text.split(':').map(group => parseInt(group, 16))
}
