// What came of the runs: for the terminal, for docs/conformance.md, and what is wrong with it.

const kinds = { required: 'required', optimal: 'optimal', check: 'behaviours' }
const hows = ['pass', 'fail', 'setup', 'moot']
const words = { pass: 'passes', fail: 'fails', setup: 'cannot be asked', moot: 'says nothing' }

const of = (cases, kind) => cases.filter((one) => one.kind === kind)
const count = (cases, how) => cases.filter((one) => one.how === how).length
const named = (exceptions) => exceptions.rules.flatMap(({ cases }) => cases)
const unmet = ({ kind, how }) => kind !== 'check' && (how === 'fail' || how === 'setup')

// How a case went in each of the runs, in the order of the suite.
function together (runs) {
  return runs[0].cases.map((one, nth) => ({ ...one, hows: runs.map(({ cases }) => cases[nth].how) }))
}

function totals (runs) {
  return Object.entries(kinds).flatMap(([kind, title]) => runs.map((run) => {
    const cases = of(run.cases, kind)
    return [title, run.title, ...hows.map((how) => count(cases, how)), cases.length].map(String)
  }))
}

const columns = ['cases', 'against', ...hows.map((how) => words[how]), 'all']

function table (head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

// For the terminal: the counts, and each case that does not pass, with its reason.
export function summary (runs, exceptions) {
  const rows = [columns, ...totals(runs)]
  const widths = columns.map((_, nth) => Math.max(...rows.map((row) => row[nth].length)))
  const aligned = rows.map((row) => row.map((cell, nth) => cell.padEnd(widths[nth])).join('  ').trimEnd())
  const reasons = runs.flatMap(({ title, cases }) => {
    return cases.filter(({ kind, how }) => kind !== 'check' && how !== 'pass').map((one) => {
      const why = one.how === 'moot' ? `it builds upon ${one.lacks.join(', ')}` : one.why
      const rule = exceptions.rules.find(({ cases }) => cases.includes(one.id))?.rule
      return `${title}: ${one.kind} ${one.id} ${words[one.how]}: ${why}${rule ? `\n    ${rule}` : ''}`
    })
  })
  return [...aligned, '', ...reasons].join('\n')
}

// What must not be: sentences.
export function faults (runs, exceptions) {
  const names = named(exceptions)
  const wrong = []
  for (const { title, cases } of runs) {
    for (const one of cases) {
      if (unmet(one) && !names.includes(one.id)) wrong.push(`${title}: ${one.id} ${words[one.how]}, and no rule is named: ${one.why}`)
      if (one.how === 'pass' && names.includes(one.id)) wrong.push(`${title}: ${one.id} passes, and exceptions.json says that it does not`)
    }
    const optimal = count(of(cases, 'optimal'), 'pass')
    if (optimal < exceptions.optimal) wrong.push(`${title}: ${optimal} optimal cases pass, and ${exceptions.optimal} did`)
    const ids = cases.map((one) => one.id)
    names.filter((id) => !ids.includes(id)).forEach((id) => wrong.push(`there is no case ${id}, and exceptions.json names it`))
  }
  return wrong
}

// docs/conformance.md.
export function describe (runs, exceptions, edition) {
  const all = together(runs)
  const rules = exceptions.rules.map(({ rule, why, cases }) => {
    const listed = all.filter(({ id }) => cases.includes(id))
    const lines = listed.map(({ id, kind, name }) => `- \`${id}\` (${kind}): ${name}`)
    return `### ${rule}\n\n${why}\n\n${lines.join('\n')}`
  })
  const moot = all.filter(({ kind, hows }) => kind !== 'check' && hows.includes('moot')).map((one) => {
    return `- \`${one.id}\` (${one.kind}): ${one.name} Builds upon ${one.lacks.map((id) => `\`${id}\``).join(', ')}.`
  })
  const behaviours = of(all, 'check').map(({ id, name, hows }) => {
    return [`\`${id}\``, name.replaceAll('|', '\\|'), ...hows.map((how) => ({ pass: 'yes', fail: 'no' }[how] ?? words[how]))]
  })
  return `# Conformance

What the public HTTP cache tests (npm's \`http-cache-tests\` ${edition}) find in larder: in the
program (\`larder --ttl origin --origin …\`), and in the layer (\`CacheLayer\` around the reverse
proxy of \`examples/axum.rs\`). \`make conformance\` runs them and writes this page.

${table(columns, totals(runs))}

A case *cannot be asked* when the cache does not do what the case takes for granted before it asks
its question, and *says nothing* when another case that it builds upon does not pass.

## What does not pass, and the rule

Where a case asks for what a standard forbids or does not ask for, larder follows the standard.
A required case that fails and is not named here fails the build.

${rules.join('\n\n')}

## What says nothing

${exceptions.moot}

${moot.join('\n')}

## Behaviours

Neither answer is right or wrong: what the tests found.

${table(['case', 'question', ...runs.map(({ title }) => title)], behaviours)}
`
}
