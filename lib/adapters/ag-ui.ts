export { fromAgUi } from './from-ag-ui.js'
export { agUiName, agUiType, toAgUi, type UnsentMessage } from './to-ag-ui.js'
