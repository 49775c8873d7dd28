import t from 'tap'
import { networkOf } from '../../../lib/server/handshake/network.js'

t.test('the network of an IPv4 address is the address, also if it is written as an IPv6 address', async t => {
  for (const address of ['192.0.2.1', '::ffff:192.0.2.1', '::FFFF:192.0.2.1', '::ffff:c000:201', '0:0:0:0:0:ffff:c000:0201', '0::ffff:192.0.2.1']) t.equal(networkOf(address), '192.0.2.1', address)
  t.not(networkOf('192.0.2.1'), networkOf('192.0.2.2'))
})

t.test('IPv6 addresses of one /64 have the same network in every notation', async t => {
  const same = ['2001:db8:1:2::', '2001:db8:1:2::1', '2001:0DB8:0001:0002:ffff:ffff:ffff:ffff', '2001:db8:1:2:3:4:192.0.2.1', '2001:db8:1:2:0:0:0:9%eth0']
  for (const address of same) t.equal(networkOf(address), '2001:db8:1:2::/64', address)
  for (const address of ['2001:db8:1:3::', '2001:db8:1::2', '2001:db8::1:2:3:4:5']) t.not(networkOf(address), networkOf(same[0]), address)
  t.equal(networkOf('2001:db8::ffff:192.0.2.1'), '2001:db8:0:0::/64', 'an address that only ends like an IPv4 address')
  t.equal(networkOf('::1'), '0:0:0:0::/64')
  t.equal(networkOf('2001:db8::1'), '2001:db8:0:0::/64')
})

t.test('the network of a text that is not an address is the text', async t => {
  for (const text of ['1.2.3.4:5678', '[2001:db8::1]:443', 'unknown', ':::']) t.equal(networkOf(text), text)
})

t.test('the network of an unknown address is an empty string', async t => {
  t.equal(networkOf(undefined), '')
})
