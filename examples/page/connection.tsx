import { useState } from 'react'
import type { Cable } from './cable.js'
import { Switch } from './switch.jsx'

/** Button that cuts the connection and mends it again. */
export function Connection ({ cable, hint }: { cable: Cable, hint: string }) {
  const [isPlugged, setPlugged] = useState(true)
  const onChange = (isOn: boolean) => {
    setPlugged(isOn)
    if (isOn) cable.mend()
    else cable.cut()
  }
  return <Switch label='Connected to the network' hint={hint} isOn={isPlugged} onChange={onChange} />
}
