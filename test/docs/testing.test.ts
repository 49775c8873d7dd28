import t from 'tap'
import { Declared, namesOf } from './declared.js'
import { Page } from './page.js'

const page = new Page('docs/testing.md')
const declared = new Declared('fastify-realtime/testing')
const names = (heading: string, header: string) => namesOf(page.table(heading, header))

t.test('the snippet that tests a server passes, and its test has ten lines at most', async t => {
  await page.passes(t, 'testing')
  const [, body] = page.snippet('testing').code.split(/^(?=test\()/m)
  t.ok(body.split('\n').length <= 10)
})

t.test('the snippet that tests code with a client passes', async t => {
  await page.passes(t, 'fake-client')
})

t.test('the snippet that tests a chat passes', async t => {
  await page.passes(t, 'chat')
})

t.test('the snippet that tests a broker passes', async t => {
  await page.passes(t, 'broker')
})

t.test('the table of options has every option of connect', async t => {
  t.same(names('## Test a server', '| Option | Default | Meaning |'), declared.membersOf('ConnectOptions'))
})

t.test('the first table of members has everything that a socket has', async t => {
  t.same(names('## Test a server', '| Member | Meaning |'), declared.membersOf('TestSocket'))
})

t.test('the second table of members has everything that a fake client adds to a client', async t => {
  t.same(names('## Test code that uses the client', '| Member | Meaning |'), declared.membersOf('FakeControls'))
})

t.test('every snippet of the page is run', async t => { page.allRan(t) })
