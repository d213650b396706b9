// What the scripts share: the settings that the driver wrote, the person at the browser, and steps that tell a story.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'

export const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'))

let steps = 0

/** Does one thing and prints its name: the output reads as a story, and the driver wants its last line. */
export async function step(name, what) {
  try {
    const result = await what()
    steps += 1
    console.log(`ok  ${name}`)
    return result
  } catch (error) {
    console.error(`FAILED  ${name}`)
    console.error(error)
    if (error?.cause) console.error('cause:', error.cause)
    process.exit(1)
  }
}

/** The last line: without it a script that ended early would pass. */
export function end() {
  console.log(`the end, after ${steps} steps`)
}

/** Asks the driver, over its own connection that no library sees. */
export async function ask(question) {
  const answer = await fetch(settings.driver, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(question),
  })
  if (!answer.ok) throw new Error(`the driver: ${await answer.text()}`)
  return answer.json()
}

/** Ann opens an authorization URL in a browser (by name, with its cookies): where she ends. */
export const opens = (url, { browser = 'ann', decision = 'allow' } = {}) =>
  ask({ ask: 'authorize', url: String(url), browser, decision })

/** The same, where she must end at the app. */
export async function isLedTo(url, options) {
  const end = await opens(url, options)
  assert.ok(end.callback, `a page instead of the app: ${JSON.stringify(end)}`)
  return new URL(end.callback)
}

/** Ann opens the page that a device sent her to, compares the code, and decides. */
export const device = (url, decision = 'allow') => ask({ ask: 'device', url, browser: 'ann', decision })

/** The operator registers a client with this metadata. */
export const register = (metadata) => ask({ ask: 'register', metadata })

/** The operator's token for so many registrations (RFC 7591 §1.2). */
export const permit = async (name, uses) => (await ask({ ask: 'permit', name, uses })).initial_access_token

/** A certificate of an authority that the operator trusts, or one of the client's own, with its key, in PEM. */
export const certificate = (name, self_signed = false) => ask({ ask: 'certificate', name, self_signed })

/** Moves the server's clock forward. Its tokens say so, so this comes last. */
export const seconds = (seconds) => ask({ ask: 'pass', seconds })

/** Moves it on until other keys sign; by how many seconds. */
export const rotate = async () => (await ask({ ask: 'rotate' })).seconds

/** Holds a failure to members of the error that the library throws. */
export async function fails(promise, expected) {
  let error
  try {
    await promise
  } catch (thrown) {
    error = thrown
  }
  assert.ok(error, `nothing was thrown; expected ${JSON.stringify(expected)}`)
  for (const [name, value] of Object.entries(expected)) {
    if (!(value instanceof RegExp ? value.test(error[name]) : error[name] === value)) {
      console.error(error, error.cause ?? '')
      assert.deepEqual(error[name], value, `the error's ${name}`)
    }
  }
  return error
}

/** Until a revocation has reached every instance (one second at most), or a message its receiver. */
export async function soon(holds) {
  for (let attempt = 0; attempt < 150; attempt += 1) {
    if (await holds()) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  assert.fail('it did not happen within fifteen seconds')
}
