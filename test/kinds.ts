import { chatKind, chatPath } from '../lib/chat/kind.js'
import { broadcastKind, notificationsPath, userKind } from '../lib/notifications/kinds.js'
import { Kinds } from '../lib/server/kinds.js'

/** The channel kinds of the two routes, without the handlers of chats. */
export const kinds = new Kinds([userKind, broadcastKind, chatKind], [notificationsPath, chatPath(chatKind)])
