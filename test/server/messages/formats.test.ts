import { Type } from '@sinclair/typebox'
import t from 'tap'
import { formatFault } from '../../../lib/server/messages/formats.js'

t.test('a format that is not registered is found at every depth, and not in a default value', async t => {
  t.match(formatFault(Type.Array(Type.Object({ default: Type.String({ format: 'none' }) }))), /format 'none'.*FormatRegistry\.Set\('none'/)
  t.equal(formatFault(Type.Object({ format: Type.String({ default: { format: 'none' } }) })), undefined)
})
