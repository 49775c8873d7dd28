import { Type } from '@sinclair/typebox'
import t from 'tap'
import { defineChannel } from '../../lib/channels/define.js'

t.test('defineChannel returns the definition itself', async t => {
  const definition = { authorize: () => true, messages: { moved: Type.Null() } }
  t.equal(defineChannel(definition), definition as unknown)
})
