/** Number of slots of a Cluster. */
const slots = 16_384

/** Slot of a key in a Cluster: CRC16 (XMODEM) of its hash tag, if it has one (Redis Cluster specification, "Key distribution model"). */
export function slotOf (key: string): number {
  let crc = 0
  for (const byte of Buffer.from(tagOf(key))) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = (crc << 1 ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff
  }
  return crc % slots
}

/** Text between the first braces, unless it is empty; otherwise the whole key. */
function tagOf (key: string): string {
  const start = key.indexOf('{') + 1
  const end = key.indexOf('}', start)
  return start > 0 && end > start ? key.slice(start, end) : key
}
