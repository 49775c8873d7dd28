export { brokerContract, type BrokerObligation, type MakeBroker } from './broker-contract.js'
export { connect, type Closed, type ConnectOptions, type TestSocket } from './socket.js'
