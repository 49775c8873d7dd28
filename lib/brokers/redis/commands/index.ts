import { appendScript } from './append.js'
import { beatScript } from './beat.js'
import { claimScript } from './claim.js'
import { connectionsScript } from './connections.js'
import { endScript } from './end.js'
import { enterScript } from './enter.js'
import { findScript } from './find.js'
import { headsScript } from './heads.js'
import { holdScript } from './hold.js'
import { mendScript } from './mend.js'
import { probeScript } from './probe.js'
import { pulseScript } from './pulse.js'
import { readScript } from './read.js'
import { releaseScript } from './release.js'

export const scripts = [
  appendScript,
  readScript,
  mendScript,
  headsScript,
  findScript,
  beatScript,
  pulseScript,
  holdScript,
  releaseScript,
  endScript,
  enterScript,
  connectionsScript,
  claimScript,
  probeScript
]
