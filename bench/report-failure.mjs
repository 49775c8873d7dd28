// Imported first by the processes that a benchmark starts. Reports an error to the process that waits for a result, which ends this one.
process.on('uncaughtException', error => process.send({ failure: { message: error?.message ?? String(error), stack: error?.stack } }))
