import { Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import t from 'tap'
import { presenceSchema } from '../../lib/presence/options.js'

t.test('presence is true, or an object with a schema and a maximum', async t => {
  for (const valid of [true, {}, { max: 1 }, { data: Type.Object({}), max: 10_000 }]) {
    t.ok(Value.Check(presenceSchema, valid), JSON.stringify(valid))
  }
  for (const wrong of [false, 1, 'yes', { max: 0 }, { max: 1.5 }, { max: 10_001 }, { data: 'schema' }, { size: 1 }]) {
    t.notOk(Value.Check(presenceSchema, wrong), JSON.stringify(wrong))
  }
})
