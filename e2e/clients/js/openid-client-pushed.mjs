// An app on openid-client that pushes its requests (RFC 9126), signs them (RFC 9101), or both.
import assert from 'node:assert/strict'
import * as client from 'openid-client'
import { CALLBACK, CODE_FLOW, app, begin, signingKey } from './app.mjs'
import { end, fails, isLedTo, opens, settings, step } from './story.mjs'

const { sub } = settings

const finish = async (config, url, remembered) =>
  client.authorizationCodeGrant(config, await isLedTo(url), remembered)

await step('a pushed request (RFC 9126 §2): the browser carries a reference only', async () => {
  const config = await app({ ...CODE_FLOW, require_pushed_authorization_requests: true })
  const { request, remembered, url } = await begin(config)
  const pushed = await client.buildAuthorizationUrlWithPAR(config, request)
  assert.deepEqual([...pushed.searchParams.keys()].sort(), ['client_id', 'request_uri'])
  assert.equal((await finish(config, pushed, remembered)).claims().sub, sub)
  // It serves once; and one that was not pushed is refused (§5).
  assert.equal((await opens(pushed)).callback, undefined)
  const plain = await opens(url)
  assert.ok(plain.page?.status === 400 || new URL(plain.callback).searchParams.get('error') === 'invalid_request')
})

await step('what is wrong with a pushed request is said at once (§2.3)', async () => {
  const config = await app(CODE_FLOW)
  const push = async (changes) =>
    client.buildAuthorizationUrlWithPAR(config, { ...(await begin(config)).request, ...changes })
  for (const [changes, error] of [
    [{ redirect_uri: 'https://evil.example/callback' }, 'invalid_request'],
    [{ scope: 'openid dragons' }, 'invalid_scope'],
    [{ response_type: 'token' }, 'unsupported_response_type'],
    [{ code_challenge_method: 'plain' }, 'invalid_request'],
    [{ request_uri: 'urn:ietf:params:oauth:request_uri:x' }, 'invalid_request'],
  ]) {
    await fails(push(changes), { error, status: 400 })
  }
  const wrong = await app(CODE_FLOW, client.ClientSecretPost('wrong'))
  await fails(client.buildAuthorizationUrlWithPAR(wrong, (await begin(wrong)).request), { error: 'invalid_client' })
})

for (const alg of ['ES256', 'PS256', 'Ed25519']) {
  await step(`a signed request (RFC 9101), with ${alg}; also pushed`, async () => {
    const { key, jwks } = await signingKey(alg)
    const config = await app({ ...CODE_FLOW, jwks, require_signed_request_object: true })
    const signed = async (...rest) => {
      const { request, remembered } = await begin(config)
      return { remembered, url: await client.buildAuthorizationUrlWithJAR(config, request, ...rest) }
    }
    const one = await signed(key)
    assert.deepEqual([...one.url.searchParams.keys()].sort(), ['client_id', 'request'])
    assert.equal((await finish(config, one.url, one.remembered)).claims().sub, sub)
    const two = await signed(key)
    const pushed = await client.buildAuthorizationUrlWithPAR(config, two.url.searchParams)
    assert.equal((await finish(config, pushed, two.remembered)).claims().sub, sub)
    // With another key.
    const forged = await signed((await signingKey(alg)).key)
    await fails(client.buildAuthorizationUrlWithPAR(config, forged.url.searchParams), {
      error: 'invalid_request_object',
      status: 400,
    })
    assert.equal((await opens(forged.url)).callback, undefined)
    // Not signed at all (§10.5).
    const { request } = await begin(config)
    await fails(client.buildAuthorizationUrlWithPAR(config, request), { error: /invalid_request/, status: 400 })
  })
}

await step('authorization details (RFC 9396) come back as they were granted', async () => {
  const config = await app({ ...CODE_FLOW, authorization_details_types: ['referral_code'] })
  const { request } = await begin(config)
  await fails(client.buildAuthorizationUrlWithPAR(config, { ...request, authorization_details: '[{"type":"dragon"}]' }), {
    error: 'invalid_authorization_details',
    status: 400,
  })
})

end()
