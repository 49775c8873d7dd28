export { brokerContract, type BrokerObligation, type MakeBroker } from './broker-contract.js'
export { fakeClient, type FakeControls, type FakeOptions, type FakeSent } from './fake-client.js'
export { connect, type ReceivedClose as Closed, type ConnectOptions, type TestedApp, type TestSocket } from './socket.js'
