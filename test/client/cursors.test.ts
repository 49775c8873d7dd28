import t from 'tap'
import { cursors as make } from '../../lib/client/cursors.js'

t.test('since is the position that each label was read up to, and earlier publications are not read again', async t => {
  const cursors = make()
  t.equal(cursors.since, '')
  cursors.start('u.aa.3,b.bb.0')
  t.equal(cursors.since, 'u.aa.3,b.bb.0')
  t.equal(cursors.advance('u.aa.4'), true)
  t.equal(cursors.advance('u.aa.4'), false, 'a repeated publication')
  t.equal(cursors.advance('u.aa.2'), false, 'an earlier publication')
  t.equal(cursors.advance('b.bb.1'), true, 'each label has its own position')
  t.equal(cursors.since, 'u.aa.4,b.bb.1')
  t.equal(cursors.advance('u.cc.1'), true, 'another epoch')
  t.equal(cursors.since, 'u.cc.1,b.bb.1')
  cursors.start('b.dd.7')
  t.equal(cursors.since, 'u.cc.1,b.dd.7', 'a resync of one label keeps the other')
  t.equal(cursors.advance('c.ee.1'), true, 'the first publication of a label')
  t.equal(cursors.advance('c.ee.1'), false)
  t.equal(cursors.advance('no position'), true)
  t.equal(cursors.since, 'u.cc.1,b.dd.7,c.ee.1')
})
