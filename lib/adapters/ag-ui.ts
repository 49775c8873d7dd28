export { agUiSource } from './ag-ui-source.js'
export { fromAgUi } from './from-ag-ui.js'
export { agUiName, agUiType, type UnsentMessage as ChatMessage } from './ag-ui-kept.js'
export { toAgUi } from './to-ag-ui.js'
