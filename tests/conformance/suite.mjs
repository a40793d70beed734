// The public HTTP cache tests, run against the cache at one address. What they found goes to the
// parent process. The suite keeps what it does in its modules, so that each run needs a process.
//
//   node suite.mjs http://127.0.0.1:8000 [ID of the only case, told in detail]

import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const modules = join(import.meta.dirname, 'node_modules')
const load = (file) => import(pathToFileURL(join(modules, file)))

const [base, only] = process.argv.slice(2)
const { runTests, getResults } = await load('http-cache-tests/client/runner.mjs')
const { default: suites } = await load('http-cache-tests/tests/index.mjs')
const { default: fetch } = await load('node-fetch/lib/index.mjs')

const told = console.log
const chosen = suites.map((suite) => {
  const tests = suite.tests.filter((test) => !only || test.id === only)
  return { ...suite, tests: tests.map((test) => ({ ...test, dump: Boolean(only) })) }
})
if (!only) console.log = () => {}
await runTests(chosen, fetch, false, base)
console.log = told

const results = getResults()
const passed = (id) => results[id] === true
const cases = chosen.flatMap((suite) => suite.tests).filter((test) => !test.browser_only)
process.send(cases.map((test) => {
  const [sort, why] = passed(test.id) ? [] : results[test.id]
  // A case may build upon another. Where that does not pass, this one says nothing.
  const lacks = only ? [] : (test.depends_on ?? []).filter((id) => !passed(id))
  const how = lacks.length > 0 ? 'moot' : passed(test.id) ? 'pass' : sort === 'Setup' ? 'setup' : 'fail'
  return { id: test.id, name: test.name, kind: test.kind ?? 'required', how, why, lacks }
}))
process.disconnect()
