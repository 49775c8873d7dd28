export { brokerContract, type BrokerObligation, type MakeBroker } from './broker-contract.js'
