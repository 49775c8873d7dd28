// The same server for clients with a connection per channel.
export { default } from './ours.mjs'
