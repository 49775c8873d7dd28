import { Type } from '@sinclair/typebox'
import t from 'tap'
import { exampleOf, expectationOf } from '../../lib/options/expectation.js'

t.test('expectationOf describes the schema of an option in words', async t => {
  const cases: Array<[schema: object, expectation: string]> = [
    [Type.Integer({ minimum: 1 }), 'a whole number of 1 or more'],
    [Type.Integer({ minimum: 0, maximum: 9 }), 'a whole number from 0 to 9'],
    [Type.Boolean(), 'true or false'],
    [Type.String(), 'a string'],
    [Type.Array(Type.String()), 'an array'],
    [Type.Function([], Type.Unknown()), 'a function'],
    [Type.Union([Type.Literal('queue'), Type.Literal('replace')]), "'queue' or 'replace'"],
    [Type.Object({ rate: Type.Integer({ default: 20 }) }), 'a plain object, such as { rate: 20 }'],
    [Type.String({ pattern: '^/', expected: "a path, such as '/ws'" }), "a path, such as '/ws'"]
  ]
  for (const [schema, expectation] of cases) t.equal(expectationOf(schema as Parameters<typeof expectationOf>[0]), expectation)
})

t.test('exampleOf returns the required options with their defaults, or the example of the schema', async t => {
  t.equal(exampleOf(Type.Object({ a: Type.Optional(Type.String()), b: Type.Boolean({ default: true }) })), '{ b: true }')
  t.equal(exampleOf(Type.Object({ s: Type.Object({}, { default: {} }) })), '{}')
  t.equal(exampleOf(Type.Object({}, { examples: [{ url: 'redis://localhost' }] })), "{ url: 'redis://localhost' }")
})
