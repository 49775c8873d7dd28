// One file for script tags and import maps: the build bundles this module and replaces what the compiler makes of it.
export * from './client/chat/index.js'
