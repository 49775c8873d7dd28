// Tests the tests: every assertion can fail, and every wait for a time has a reason.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { root } from './root.js'

const folder = join(root, 'test')

/** Assertions of tap. `fail` is not among them: under a condition it is an assertion of that condition. */
const assertions = new Set([
  'ok', 'notOk', 'equal', 'not', 'same', 'notSame', 'strictSame', 'strictNotSame', 'match', 'notMatch', 'has', 'notHas', 'hasStrict',
  'throws', 'doesNotThrow', 'rejects', 'resolves', 'resolveMatch', 'type', 'error', 'emits', 'pass', 'matchOnly', 'hasProp', 'hasProps'
])

interface Finding {
  line: number
  text: string
}

type Look = (node: ts.Node, source: ts.SourceFile) => boolean

function find (file: string, text: string, look: Look): Finding[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true, file.endsWith('x') ? ts.ScriptKind.TSX : ts.ScriptKind.TS)
  const found: Finding[] = []
  const visit = (node: ts.Node) => {
    if (look(node, source)) {
      const start = node.getStart(source)
      found.push({ line: source.getLineAndCharacterOfPosition(start).line + 1, text: node.getText(source).split('\n', 1)[0] })
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** Whether a node is a call such as `t.equal(…)` on a test of any name. */
function isAssertion (node: ts.Node): node is ts.CallExpression {
  if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return false
  const { expression: on, name } = node.expression
  return ts.isIdentifier(on) && /^t+$/.test(on.text) && assertions.has(name.text)
}

/** Whether a node runs only under a condition within its function. */
function isConditional (node: ts.Node): boolean {
  for (let { parent } = node, child = node; parent !== undefined && !ts.isFunctionLike(parent); child = parent, parent = parent.parent) {
    if (ts.isIfStatement(parent) && parent.expression !== child) return true
    if (ts.isConditionalExpression(parent) && parent.condition !== child) return true
    if (ts.isBinaryExpression(parent) && isShortCircuit(parent) && parent.right === child) return true
    if (ts.isCaseOrDefaultClause(parent) || ts.isCatchClause(parent)) return true
  }
  return false
}

function isShortCircuit ({ operatorToken: { kind } }: ts.BinaryExpression): boolean {
  return [ts.SyntaxKind.AmpersandAmpersandToken, ts.SyntaxKind.BarBarToken, ts.SyntaxKind.QuestionQuestionToken].includes(kind)
}

const conditionalAssertion: Look = node => isAssertion(node) && isConditional(node)

/** Calls of `setTimeout(…)` and `sleep(…)` without a comment on the same or the previous line. */
const waitWithoutReason: Look = (node, source) => {
  if (!ts.isCallExpression(node) || !/^(?:\w+\.)?(?:setTimeout|sleep)$/.test(node.expression.getText(source))) return false
  // The time limit of a test.
  if (/^t\.setTimeout$/.test(node.expression.getText(source))) return false
  const { line } = source.getLineAndCharacterOfPosition(node.getStart(source))
  const lines = source.text.split('\n')
  return !/\/\//.test(lines[line]) && !/^\s*(?:\/\/|\*|\/\*\*)/.test(lines[line - 1] ?? '')
}

/** `t.ok(list.every(…))`, which also passes for an empty list. */
const everyOfNothing: Look = node =>
  isAssertion(node) && node.arguments.some(argument => isCallOf(argument, 'every'))

/** A call of a method `name` with a receiver, such as `list.some(…)`. */
function isCallOf (node: ts.Node | undefined, ...names: string[]): node is ts.CallExpression & { expression: ts.PropertyAccessExpression } {
  if (node === undefined || !ts.isCallExpression(node)) return false
  return ts.isPropertyAccessExpression(node.expression) && names.includes(node.expression.name.text)
}

function isAssertionOf (node: ts.Node, ...names: string[]): node is ts.CallExpression {
  return isAssertion(node) && isCallOf(node, ...names)
}

/** `t.notOk(list.some(…))` and `t.strictSame(list.filter(…), [])`, which also pass for an empty list. */
const nothingOfNothing: Look = node => {
  if (!ts.isCallExpression(node)) return false
  const [actual, expected] = node.arguments
  if (isAssertionOf(node, 'notOk')) return isCallOf(actual, 'some')
  if (isAssertionOf(node, 'equal')) return isCallOf(actual, 'some') && expected?.kind === ts.SyntaxKind.FalseKeyword
  return isAssertionOf(node, 'same', 'strictSame') && isCallOf(actual, 'filter') && ts.isArrayLiteralExpression(expected) && expected.elements.length === 0
}

/** A comparison of positions from `indexOf` and similar methods. They return -1 for a missing item, which is less than any position. */
const orderOfMissing: Look = node => {
  if (!ts.isBinaryExpression(node) || !['<', '<=', '>', '>='].includes(node.operatorToken.getText())) return false
  return [node.left, node.right].some(side => isCallOf(side, 'indexOf', 'lastIndexOf', 'findIndex', 'findLastIndex'))
}

/** `client.pttl(key)`, which is negative for a key that never expires or is gone. */
const negativeLifetime: Look = node => isCallOf(node, 'ttl', 'pttl')

/** A variable or property `now` that is 0. */
const clockAtZero: Look = node => {
  if (!ts.isVariableDeclaration(node) && !ts.isPropertyAssignment(node) && !ts.isPropertyDeclaration(node)) return false
  return node.name.getText() === 'now' && node.initializer?.getText() === '0'
}

/** A promise for the next turn of the event loop: what follows from it may take several. */
const singleTurn: Look = node => {
  if (!ts.isCallExpression(node) || node.expression.getText() !== 'setImmediate') return false
  return node.arguments.length === 0 || node.arguments[0].getText() === 'resolve'
}

/** `but`: file with the helper that the rule names. */
const rules: Array<{ title: string, look: Look, wrong: string[], right: string[], but?: string }> = [
  {
    title: 'no assertion runs only under a condition',
    look: conditionalAssertion,
    wrong: ['if (a) t.ok(b)', 'if (a) { await b(); t.equal(1, 2) } else c()', 'a ? t.ok(b) : 0', 'a && t.ok(b)', 'switch (a) { case 1: tt.same(a, b) }', 'try { a() } catch (error) { t.match(error, b) }'],
    right: ['t.ok(a ? b : c)', 'if (a) t.test("x", t => t.ok(b))', 'for (const a of b) t.ok(a)', 'if (t.ok(a)) b()', 'if (a) t.fail(b)']
  },
  {
    title: 'every wait for a time has its reason in a comment',
    look: waitWithoutReason,
    wrong: ['await new Promise(resolve => setTimeout(resolve, 20))', 'await sleep(20)', 'timers.setTimeout(a, 1)'],
    right: ['// Why.\nawait sleep(20)', 'await sleep(20) // Why.', 't.setTimeout(20)', '/** Why. */\nconst wait = ms => setTimeout(a, ms)', '/**\n * Why.\n */\nsetTimeout(a, 1)']
  },
  {
    title: 'an assertion about every item of a list uses `every` of test/every.ts, which is false for an empty list',
    look: everyOfNothing,
    wrong: ['t.ok(list.every(a => a))', 't.equal(list.every(a), true)'],
    right: ['t.ok(every(list, a => a))', 't.ok(a)']
  },
  {
    title: 'an assertion that a list has no such item uses `found` of test/every.ts, which throws for an empty list',
    look: nothingOfNothing,
    wrong: ['t.notOk(list.some(a => a))', 't.equal(list.some(a), false)', 't.same(list.filter(a), [])', "t.strictSame(a().filter(b), [], 'c')"],
    right: ['t.strictSame(found(list, a), [])', 't.ok(list.some(a))', 't.equal(list.some(a), true)', 't.same(list.filter(a), [1])', 'list.some(a)']
  },
  {
    title: 'the places of two items are not compared with < or >, because an item that is missing is at -1',
    look: orderOfMissing,
    wrong: ['t.ok(list.indexOf(a) < list.indexOf(b))', 'a > b.findIndex(c)'],
    right: ['t.equal(list.indexOf(a), 1)', 'a < b']
  },
  {
    title: 'the lifetime of a key in Redis is read with `lifetimeOf` of test/redis-server.ts, which throws for a key that never expires',
    look: negativeLifetime,
    wrong: ['t.ok(await client.pttl(key) <= 60_000)', 'client.ttl(key)'],
    right: ['t.ok(await lifetimeOf(client, key) <= 60_000)'],
    but: 'redis-server.ts'
  },
  {
    title: 'no clock of a test starts at 0, which code may take for no time',
    look: clockAtZero,
    wrong: ['let now = 0', 'const clock = { now: 0 }', 'class A { now = 0 }'],
    right: ['let now = clockStart', 'const clock = { now: 1 }', 'let at = 0']
  },
  {
    title: 'a test that waits for the event loop uses `loopTurns` of test/waiting.ts, because one turn may not be enough',
    look: singleTurn,
    wrong: ['await new Promise(resolve => setImmediate(resolve))', 'await setImmediate()'],
    right: ['await loopTurns()', 'setImmediate(() => act())'],
    but: 'waiting.ts'
  }
]

const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter(file => /\.tsx?$/.test(file) && !file.includes('node_modules')).map(file => file.replaceAll('\\', '/')).sort()

for (const { title, look, wrong, right, but } of rules) {
  t.test(title, async t => {
    for (const text of wrong) t.equal(find('a.ts', text, look).length, 1, text)
    for (const text of right) t.equal(find('a.ts', text, look).length, 0, text)
    t.ok(files.length > 100, `${files.length} files`)
    for (const file of files.filter(file => file !== 'tests.test.ts' && file !== but)) {
      const found = find(file, readFileSync(join(folder, file), 'utf8'), look)
      t.strictSame(found.map(({ line, text }) => `${line}: ${text}`), [], file)
    }
  })
}
