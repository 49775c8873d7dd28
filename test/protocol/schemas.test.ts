import { Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import t from 'tap'
import '../../lib/server/messages/catalogue.js'
import { Id, Name, Timestamp, open } from '../../lib/protocol/schemas.js'

t.test('an open object must have the named fields, and may have others', async t => {
  const check = TypeCompiler.Compile(open(Type.Object({ id: Type.String(), note: Type.Optional(Type.String()) })))
  for (const right of [{ id: 'a' }, { id: 'a', note: 'n' }, { id: 'a', more: { deep: [1] } }]) t.equal(check.Check(right), true)
  for (const wrong of [{}, { id: 1 }, { id: 'a', note: 1 }, null, 'a', [], undefined]) t.equal(check.Check(wrong), false)
})

t.test('names and ids have from 1 to 128 characters', async t => {
  for (const schema of [Name, Id]) {
    const check = TypeCompiler.Compile(schema)
    t.strictSame([0, 1, 128, 129].map(length => check.Check('x'.repeat(length))), [false, true, true, false])
  }
  t.equal(TypeCompiler.Compile(Name).Check('any text/ü'), true)
  t.equal(TypeCompiler.Compile(Id).Check('any text/ü'), false)
})

t.test('a timestamp is UTC', async t => {
  const check = TypeCompiler.Compile(Timestamp)
  t.strictSame(['2026-07-01T12:00:00.000Z', '2026-07-01T12:00:00+02:00'].map(text => check.Check(text)), [true, false])
})
