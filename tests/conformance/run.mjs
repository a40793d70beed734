// Runs the public HTTP cache tests (npm's http-cache-tests) against larder in two forms: the
// program, and `CacheLayer` in examples/axum.rs as a reverse proxy. Prints what came of it.
//
//   node run.mjs target/release --write     and writes docs/conformance.md
//   node run.mjs target/debug --check       and compares it with docs/conformance.md
//   node run.mjs target/debug --only ID     one case, with all that was sent and received
//
// Exits 1 when a case fails that exceptions.json does not name, when one passes that it does
// name, when fewer optimal cases pass than it says, or when the document is not what it was.

import { fork, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { describe, faults, summary } from './report.mjs'

const here = import.meta.dirname
const document = join(here, '../../docs/conformance.md')
const suite = join(here, 'node_modules/http-cache-tests')
const json = (file) => JSON.parse(readFileSync(file, 'utf8'))

const { values: flags, positionals: [built] } = parseArgs({
  allowPositionals: true,
  options: { write: { type: 'boolean' }, check: { type: 'boolean' }, only: { type: 'string' } }
})
if (!built) {
  console.error('say where larder was built: node run.mjs target/release')
  process.exit(2)
}
if (spawnSync('sh', [join(here, 'install.sh')], { stdio: 'inherit' }).status !== 0) process.exit(1)

const children = []
// One that could not be started has no number, and to kill it would be to kill ourselves.
process.on('exit', () => children.filter(({ pid }) => pid).forEach((child) => child.kill()))

async function freePort () {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  return port
}

// Starts a server, and waits until it answers.
async function start (command, args, port, options) {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'], ...options })
  children.push(child)
  child.on('error', (error) => console.error(error.message))
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null || child.pid === undefined) break
    const open = await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => { socket.destroy(); resolve(true) })
      socket.once('error', () => setTimeout(resolve, 50, false))
    })
    if (open) return `http://127.0.0.1:${port}`
  }
  console.error(`${command} does not serve`)
  process.exit(1)
}

async function startOrigin () {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'larder-conformance-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const pidfile = join(folder, 'pid')
  const set = { npm_config_protocol: 'http', npm_config_port: String(port), npm_config_pidfile: pidfile }
  const options = { cwd: suite, env: { ...process.env, ...set } }
  return start(process.execPath, ['--no-warnings', 'server/server.mjs'], port, options)
}

async function startProgram () {
  const [origin, port] = [await startOrigin(), await freePort()]
  const args = ['--port', port, '--origin', origin, '--ttl', 'origin', '--prefix', '/_larder', '--log', 'error']
  return start(resolve(built, 'larder'), args, port)
}

async function startLayer () {
  const [origin, port] = [await startOrigin(), await freePort()]
  // It tells of the broken responses that belong to the cases.
  return start(resolve(built, 'examples/axum'), ['--port', port, '--origin', origin], port, { stdio: 'ignore' })
}

async function run (title, starting) {
  const child = fork(join(here, 'suite.mjs'), [await starting, ...(flags.only ? [flags.only] : [])])
  children.push(child)
  const [cases] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => { throw new Error(`${title}: the suite ended without a word`) })
  ])
  return { title, cases }
}

if (flags.only) {
  // Told in full, and two at a time would be in each other's words.
  const { cases } = await run('program', startProgram())
  console.log(cases)
  process.exit()
}

const exceptions = json(join(here, 'exceptions.json'))
const edition = json(join(suite, 'package.json')).version
// Behaviours are neither right nor wrong, and some are a matter of the clock.
const judged = (text) => text.split('## Behaviours')[0].replace(/^\| behaviours .*\n/gm, '')

async function attempt () {
  const runs = await Promise.all([run('program', startProgram()), run('layer', startLayer())])
  const text = describe(runs, exceptions, edition)
  const wrong = faults(runs, exceptions)
  if (flags.check && judged(readFileSync(document, 'utf8')) !== judged(text)) {
    wrong.push('docs/conformance.md is not what came of this run: see `make conformance`')
  }
  return { runs, text, wrong }
}

// Many cases count seconds, and a busy machine is late for some: what is really wrong is so each
// time.
let found = await attempt()
for (let again = 0; again < 2 && found.wrong.length > 0; again++) {
  console.error(`${found.wrong.join('\n')}\nonce more:`)
  found = await attempt()
}
console.log(summary(found.runs, exceptions))
if (flags.write) writeFileSync(document, found.text)
found.wrong.forEach((fault) => console.error(fault))
process.exit(found.wrong.length > 0 ? 1 : 0)
