import t from 'tap'
import type { Envelope } from '../../../lib/client/index.js'
import { Notifications } from '../../../lib/react/state/notifications.js'

const at = (n: number) => new Date(n * 1000).toISOString()
const notification = (n: number, data: object = { title: `n${n}` }) => ({ type: 'notification', id: `u.e.${n}`, timestamp: at(n), data }) as Envelope
const announcement = (n: number): Envelope => ({ type: 'system_announcement', id: `b.e.${n}`, timestamp: at(n), message: `a${n}` })
const titles = ({ list }: Notifications) => list.map(({ title }) => title)
const unread = ({ list }: Notifications) => list.filter(({ isRead }) => !isRead).map(({ title }) => title)
const all = ['notification', 'system_announcement'] as const

t.test('only notifications and announcements are listed, newest first', async t => {
  const notifications = new Notifications()
  notifications.receive(notification(1, { title: 'Hi', message: 'you', more: 7 }))
  notifications.receive({ type: 'task_update', timestamp: at(2), data: { task_id: 1 } })
  notifications.receive(announcement(3))
  t.strictSame(notifications.list, [
    { type: 'system_announcement', id: 'b.e.3', timestamp: at(3), isRead: false, title: 'a3', data: undefined },
    { type: 'notification', id: 'u.e.1', timestamp: at(1), isRead: false, title: 'Hi', message: 'you', data: { title: 'Hi', message: 'you', more: 7 } }
  ])
})

t.test('a notification that is sent again with its own id is listed once, as the newest', async t => {
  const notifications = new Notifications()
  notifications.receive(notification(1, { title: 'one', id: 5 }))
  notifications.markRead(all)
  notifications.receive(notification(2))
  notifications.receive(notification(3, { title: 'again', id: '5' }))
  t.strictSame(titles(notifications), ['again', 'n2'])
  t.strictSame(unread(notifications), ['again', 'n2'])
})

t.test('notifications without an id are listed, each with an id of the list', async t => {
  const notifications = new Notifications()
  const without = (envelope: Envelope): Envelope => ({ ...envelope, id: undefined })
  for (const one of [notification(1), notification(2), announcement(3), announcement(4)]) notifications.receive(without(one))
  t.strictSame(titles(notifications), ['a4', 'a3', 'n2', 'n1'])
  notifications.markRead(all, notifications.list[1].id)
  t.strictSame(unread(notifications), ['a4', 'n2', 'n1'])
  const stored = [notification(1), { ...notification(2), timestamp: at(1) }, announcement(3)].map(without)
  await notifications.load(async () => {
    notifications.receive(without(notification(5)))
    return stored
  })
  t.strictSame(titles(notifications), ['n5', 'a3', 'n2', 'n1'])
  await notifications.load(async () => stored)
  t.strictSame(titles(notifications), ['a3', 'n2', 'n1'])
  t.strictSame(unread(notifications), [], 'they are recognised when they are loaded again')
})

t.test('load ignores messages of other types, and an announcement without a message has an empty title', async t => {
  const notifications = new Notifications()
  await notifications.load(async () => [{ type: 'task_update', timestamp: at(2), data: { task_id: 1 } }, { ...announcement(1), message: undefined }])
  t.strictSame(titles(notifications), [''])
})

t.test('a list has at most 100 notifications', async t => {
  const notifications = new Notifications()
  for (let n = 1; n <= 250; n++) notifications.receive(notification(n))
  t.equal(notifications.list.length, 100)
  t.equal(titles(notifications)[0], 'n250')
})

t.test('markRead marks one notification, or all of the given types', async t => {
  const notifications = new Notifications()
  for (const one of [notification(1), notification(2), announcement(3)]) notifications.receive(one)
  const untouched = notifications.list[0]
  notifications.markRead(['notification'], 'u.e.1')
  t.strictSame(unread(notifications), ['a3', 'n2'])
  t.equal(notifications.list[0], untouched)
  notifications.markRead(['notification'])
  t.strictSame(unread(notifications), ['a3'])
  notifications.markRead(all)
  t.strictSame(unread(notifications), [])
})

t.test('load replaces the list: the first load is read, and new notifications of later loads are unread', async t => {
  const notifications = new Notifications()
  await notifications.load(async () => [announcement(2), notification(1)])
  t.strictSame(titles(notifications), ['a2', 'n1'])
  t.strictSame(unread(notifications), [])
  notifications.receive(notification(3))
  await notifications.load(async () => [notification(3), notification(4), { ...notification(5), isRead: true }])
  t.strictSame(titles(notifications), ['n5', 'n4', 'n3'])
  t.strictSame(unread(notifications), ['n4', 'n3'])
})

t.test('notifications that arrive during a load are listed once', async t => {
  const notifications = new Notifications()
  await notifications.load(async () => {
    notifications.receive(notification(2))
    notifications.receive(notification(3))
    notifications.markRead(all, 'u.e.2')
    return [notification(1), notification(2)]
  })
  t.strictSame(titles(notifications), ['n3', 'n2', 'n1'])
  t.strictSame(unread(notifications), ['n3'])
})

t.test('notifications that are marked during a load stay read', async t => {
  const notifications = new Notifications()
  const stored = [1, 2].map(n => ({ ...notification(n), isRead: false }))
  await notifications.load(async () => stored)
  t.strictSame(unread(notifications), ['n2', 'n1'])
  await notifications.load(async () => {
    notifications.markRead(all, 'u.e.1')
    return stored
  })
  t.strictSame(unread(notifications), ['n2'])
})

t.test('two loads at the same time lose no notifications', async t => {
  const notifications = new Notifications()
  let end = () => {}
  const slow = notifications.load(() => new Promise(resolve => { end = () => resolve([notification(1)]) }))
  await notifications.load(async () => [notification(1)])
  notifications.receive(notification(2))
  end()
  await slow
  t.strictSame(titles(notifications), ['n2', 'n1'])
})

t.test('a load that fails does not change the list', async t => {
  const notifications = new Notifications()
  notifications.receive(notification(1))
  await t.rejects(notifications.load(async () => { throw new Error('no') }), /no/)
  t.strictSame(titles(notifications), ['n1'])
})
