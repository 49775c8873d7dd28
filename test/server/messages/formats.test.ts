import { Type } from '@sinclair/typebox'
import t from 'tap'
import { formatFault } from '../../../lib/server/messages/formats.js'

t.test('a format that TypeBox does not know is found wherever it is', async t => {
  t.match(formatFault(Type.Array(Type.Object({ default: Type.String({ format: 'none' }) }))), /format 'none'.*FormatRegistry\.Set\('none'/)
  t.equal(formatFault(Type.Object({ format: Type.String({ default: { format: 'none' } }) })), undefined)
})
