// Keeps tap from registering module hooks of its own. They record what each test has loaded, for `tap --changed`; coverage does not need
// them.
const Module = require('node:module')

const { register } = Module
Module.register = (specifier, ...rest) => {
  if (!rest[0]?.parentURL?.includes('/@tapjs/processinfo/')) register(specifier, ...rest)
}
