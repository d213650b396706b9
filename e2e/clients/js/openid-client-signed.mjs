// An app on openid-client that signs what it sends and reads what the server signs.
import assert from 'node:assert/strict'
import * as client from 'openid-client'
import { CALLBACK, CODE_FLOW, app, begin, signIn, signingKey } from './app.mjs'
import { end, fails, isLedTo, opens, settings, step } from './story.mjs'

const { issuer, sub } = settings
const MACHINE = { redirect_uris: [], grant_types: ['client_credentials'] }

for (const alg of ['RS256', 'PS256', 'ES256', 'Ed25519']) {
  await step(`an ID token signed by the server: ${alg}`, async () => {
    // The server names EdDSA as registered (RFC 8037 §3.1); the library knows that name for Ed25519 too.
    const name = alg === 'Ed25519' ? 'EdDSA' : alg
    const config = await app({ ...CODE_FLOW, id_token_signed_response_alg: name })
    const tokens = await signIn(config)
    assert.equal(tokens.claims().sub, sub)
    assert.equal((await client.fetchUserInfo(config, tokens.access_token, sub)).email, settings.email)
  })
}

await step('form_post: the answer arrives as a form, and the library takes it', async () => {
  const config = await app(CODE_FLOW)
  const { url, remembered } = await begin(config, CALLBACK, { response_mode: 'form_post' })
  const { form_post } = (await opens(url)).page
  assert.equal(form_post.action, CALLBACK)
  const request = () => new Request(form_post.action, { method: 'POST', body: new URLSearchParams(form_post.fields) })
  const tokens = await client.authorizationCodeGrant(config, request(), remembered)
  assert.equal(tokens.claims().sub, sub)
  await fails(client.authorizationCodeGrant(config, request(), remembered), { error: 'invalid_grant' })
})

for (const alg of ['RS256', 'ES256']) {
  await step(`JARM: the answer is a JWT signed with ${alg}`, async () => {
    const config = await app({ ...CODE_FLOW, authorization_signed_response_alg: alg }, undefined, client.useJwtResponseMode)
    assert.equal((await signIn(config)).claims().sub, sub)
    const { url, remembered } = await begin(config, CALLBACK, { prompt: 'consent' })
    const callback = await isLedTo(url, { decision: 'deny' })
    assert.deepEqual([...callback.searchParams.keys()], ['response'])
    await fails(client.authorizationCodeGrant(config, callback, remembered), { error: 'access_denied' })
    // An answer that is not signed is refused by the library.
    const unsigned = new URL(`${CALLBACK}?code=x&state=${remembered.expectedState}&iss=${encodeURIComponent(issuer)}`)
    await fails(client.authorizationCodeGrant(config, unsigned, remembered), { code: /OAUTH_/ })
  })
}

for (const alg of ['ES256', 'PS256', 'RS256', 'EdDSA']) {
  await step(`private_key_jwt with ${alg}: code flow, refresh, introspection, revocation`, async () => {
    const { key, jwks } = await signingKey(alg)
    const metadata = { ...CODE_FLOW, token_endpoint_auth_method: 'private_key_jwt', jwks }
    const config = await app(metadata, client.PrivateKeyJwt(key))
    const tokens = await signIn(config)
    assert.equal(tokens.claims().sub, sub)
    const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token)
    assert.equal((await client.tokenIntrospection(config, refreshed.access_token)).active, true)
    await client.tokenRevocation(config, refreshed.refresh_token)
    await fails(client.refreshTokenGrant(config, refreshed.refresh_token), { error: 'invalid_grant' })
  })
}

await step('introspection as a signed JWT (RFC 9701)', async () => {
  const config = await app({ ...MACHINE, introspection_signed_response_alg: 'ES256' })
  const { access_token } = await client.clientCredentialsGrant(config, { scope: 'referral-codes:read' })
  const known = await client.tokenIntrospection(config, access_token)
  assert.deepEqual([known.active, known.scope], [true, 'referral-codes:read'])
  assert.equal((await client.tokenIntrospection(config, 'nonsense')).active, false)
})

await step('client_secret_jwt', async () => {
  const metadata = { ...MACHINE, token_endpoint_auth_method: 'client_secret_jwt' }
  const config = await app(metadata, (...rest) => client.ClientSecretJwt()(...rest))
  assert.equal((await client.clientCredentialsGrant(config)).token_type, 'bearer')
})

await step('an assertion with another key, for another audience, too old or used twice: invalid_client', async () => {
  const { key, jwks } = await signingKey('ES256')
  const metadata = { ...MACHINE, token_endpoint_auth_method: 'private_key_jwt', jwks }
  const refused = { error: 'invalid_client', status: 401 }
  const grant = async (options, signing = key) =>
    client.clientCredentialsGrant(await app(metadata, client.PrivateKeyJwt(signing, options)))
  const changed = (change) => ({ [client.modifyAssertion]: (header, payload) => change(payload, header) })

  await grant()
  const other = await signingKey('ES256')
  await fails(grant({}, other.key), refused)
  await fails(grant(changed((payload) => (payload.aud = 'https://elsewhere.example'))), refused)
  await fails(grant(changed((payload) => (payload.iss = 'somebody'))), refused)
  const past = Math.floor(Date.now() / 1000) - 3600
  await fails(grant(changed((payload) => (payload.exp = past))), refused)
  await fails(grant(changed((payload) => (payload.iat = past + 7200))), refused)
  await fails(grant(changed((payload) => delete payload.jti)), refused)
  const twice = await app(metadata, client.PrivateKeyJwt(key, changed((payload) => (payload.jti = 'the same'))))
  await client.clientCredentialsGrant(twice)
  await fails(client.clientCredentialsGrant(twice), refused)
})

end()
