// Runs the public HTTP cache tests (npm's http-cache-tests) against a larder binary, or against
// any cache that stands in front of the suite's own origin, and prints what came of it.
//
//   node run.mjs target/release/larder          starts origin and larder by itself
//   node run.mjs target/release/larder age-parse-nonnumeric    one case, with its details
//
// Exits 1 when a required case fails.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const suite = join(here, 'node_modules', 'http-cache-tests')
const [binary, only] = process.argv.slice(2)
if (!binary) {
  console.error('say which binary: node run.mjs target/release/larder')
  process.exit(2)
}

if (!existsSync(suite)) {
  const npm = spawnSync('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock'], { cwd: here, stdio: 'inherit' })
  if (npm.status !== 0) {
    console.error('npm could not install http-cache-tests: it needs the npm registry once')
    process.exit(1)
  }
}

const load = (file) => import(pathToFileURL(join(suite, file)))

async function freePort () {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  return port
}

async function answers (port, child) {
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended with ${child.exitCode}`)
    const open = await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => { socket.destroy(); resolve(true) })
      socket.once('error', () => setTimeout(resolve, 50, false))
    })
    if (open) return
  }
  throw new Error(`nothing answers on port ${port}`)
}

const children = []
process.on('exit', () => children.forEach((child) => child.kill()))

const originPort = await freePort()
const scratch = mkdtempSync(join(tmpdir(), 'larder-conformance-'))
const origin = spawn(process.execPath, ['--no-warnings', 'server/server.mjs'], {
  cwd: suite,
  stdio: 'ignore',
  env: { ...process.env, npm_config_protocol: 'http', npm_config_port: String(originPort), npm_config_pidfile: join(scratch, 'pid') }
})
children.push(origin)
await answers(originPort, origin)

const port = await freePort()
const larder = spawn(resolve(binary), [
  '--port', String(port), '--origin', `http://127.0.0.1:${originPort}`,
  '--ttl', 'origin', '--prefix', '/_larder', '--log', 'warn'
], { stdio: ['ignore', 'inherit', 'inherit'] })
children.push(larder)
await answers(port, larder)

const { runTests, getResults } = await load('client/runner.mjs')
const { default: suites } = await load('tests/index.mjs')
const { determineTestResult } = await load('lib/display.mjs')
const { default: fetch } = await import(pathToFileURL(join(here, 'node_modules', 'node-fetch', 'lib', 'index.mjs')))

let chosen = suites
if (only) {
  chosen = suites
    .map((one) => ({ ...one, tests: one.tests.filter((test) => test.id === only).map((test) => ({ ...test, dump: true })) }))
    .filter((one) => one.tests.length > 0)
}
const log = console.log
if (!only) console.log = () => {}
await runTests(chosen, fetch, false, `http://127.0.0.1:${port}`)
console.log = log

const results = getResults()
const counts = {}
const failures = []
const moot = []
// A case may build upon an optional behaviour: where that is absent it says nothing, and is no
// failure. Where a required case is what it builds upon, that one fails by itself.
const absent = (test) => test.depends_on.filter((id) => results[id] !== true).join(', ')
for (const one of chosen) {
  for (const test of one.tests) {
    if (test.browser_only) continue
    const kind = test.kind ?? 'required'
    const [, , sign] = determineTestResult(suites, test.id, results, !only)
    const count = (counts[kind] ??= {})
    count[sign] = (count[sign] ?? 0) + 1
    if (kind === 'check' || sign === '✅') continue
    if (sign === '⚪️') {
      moot.push(`${sign} ${kind} ${test.id}: says nothing, for it builds upon ${absent(test)}`)
    } else {
      failures.push([kind, sign, test.id, test.name, results[test.id]?.[1] ?? ''])
    }
  }
}

for (const [kind, count] of Object.entries(counts)) {
  log(`${kind.padEnd(9)} ${Object.entries(count).map(([sign, n]) => `${sign} ${n}`).join('   ')}`)
}
for (const [kind, sign, id, name, why] of failures.sort()) {
  log(`${sign} ${kind} ${id}: ${name}\n     ${why}`)
}
for (const line of moot) log(line)
process.exit(failures.some(([kind]) => kind === 'required') ? 1 : 0)
