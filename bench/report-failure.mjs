// Imported first by the processes that a benchmark starts: an error reaches the process that waits for a result, which then ends this one.
process.on('uncaughtException', error => process.send({ failure: { message: error?.message ?? String(error), stack: error?.stack } }))
