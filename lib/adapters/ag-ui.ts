export { fromAgUi } from './from-ag-ui.js'
export { agUiName, agUiType, toAgUi, type UnsentMessage as ChatMessage } from './to-ag-ui.js'
