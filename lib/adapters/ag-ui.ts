export { fromAgUi } from './from-ag-ui.js'
export { agUiName, agUiType, toAgUi, type ChatMessage } from './to-ag-ui.js'
