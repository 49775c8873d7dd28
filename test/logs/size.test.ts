import t from 'tap'
import { isWide, memoryOf } from '../../lib/logs/size.js'

t.test('a string takes one byte per character up to latin1, and two once any character is beyond', async t => {
  for (const narrow of ['', 'abc', 'größer', '\xff\0']) t.strictSame([isWide(narrow), memoryOf(narrow)], [false, narrow.length], narrow)
  for (const wide of ['Ā', 'a…', 'токен', '😀', `${'a'.repeat(1_000)}\u0100`]) t.strictSame([isWide(wide), memoryOf(wide)], [true, wide.length * 2], wide)
})
