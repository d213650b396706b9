// An app on openid-client that is held to FAPI 2.0, with Message Signing.
import assert from 'node:assert/strict'
import * as client from 'openid-client'
import { app, begin, signIn, signingKey } from './app.mjs'
import { end, fails, isLedTo, opens, settings, step } from './story.mjs'

const { api, sub } = settings
const CALLBACK = 'https://app.example/callback'
const { key, jwks } = await signingKey('ES256')
const metadata = {
  redirect_uris: [CALLBACK],
  grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
  token_endpoint_auth_method: 'private_key_jwt',
  dpop_bound_access_tokens: true,
  id_token_signed_response_alg: 'ES256',
  authorization_signed_response_alg: 'ES256',
  introspection_signed_response_alg: 'ES256',
  profile: 'fapi2',
  jwks,
}
const config = await app(metadata, client.PrivateKeyJwt(key), client.useJwtResponseMode)
const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))

/** Signs a request and pushes it. */
async function push(changes) {
  const { request, remembered } = await begin(config, CALLBACK, changes)
  const signed = await client.buildAuthorizationUrlWithJAR(config, request, key)
  return { remembered, url: await client.buildAuthorizationUrlWithPAR(config, signed.searchParams, { DPoP }) }
}

const tokens = await step('a signed request, pushed; a signed answer; private_key_jwt; DPoP with nonces', async () => {
  const { url, remembered } = await push()
  const callback = await isLedTo(url)
  assert.deepEqual([...callback.searchParams.keys()], ['response'])
  const tokens = await client.authorizationCodeGrant(config, callback, remembered, undefined, { DPoP })
  assert.equal(tokens.claims().sub, sub)
  assert.equal(tokens.token_type, 'dpop')
  return tokens
})

await step('userinfo, refresh without rotation, signed introspection, revocation', async () => {
  assert.equal((await client.fetchUserInfo(config, tokens.access_token, sub, { DPoP })).email, settings.email)
  const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })
  // FAPI 2.0 Security Profile §5.3.2.1: no rotation.
  assert.ok([undefined, tokens.refresh_token].includes(refreshed.refresh_token), 'the refresh token was rotated')
  const known = await client.tokenIntrospection(config, refreshed.access_token)
  assert.equal(known.cnf.jkt, await DPoP.calculateThumbprint())
  await client.tokenRevocation(config, tokens.refresh_token)
  await fails(client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP }), { error: 'invalid_grant' })
})

await step('what the profile forbids is refused: not pushed, not signed, no DPoP, no PKCE', async () => {
  const { url } = await begin(config, CALLBACK)
  const plain = await opens(url)
  assert.ok(plain.page?.status === 400 || plain.callback.startsWith(CALLBACK), JSON.stringify(plain))
  if (plain.callback) {
    const { remembered } = await begin(config, CALLBACK)
    await fails(client.authorizationCodeGrant(config, new URL(plain.callback), { ...remembered, expectedState: client.skipStateCheck }), {
      error: /invalid_request/,
    })
  }
  const { request } = await begin(config, CALLBACK)
  await fails(client.buildAuthorizationUrlWithPAR(config, request, { DPoP }), { error: /invalid_request/, status: 400 })
  await fails(push({ code_challenge: '', code_challenge_method: '' }), { error: 'invalid_request', status: 400 })
  await fails(client.clientCredentialsGrant(config, { scope: 'referral-codes:read' }), { status: 400 })
  const token = await client.clientCredentialsGrant(config, { scope: 'referral-codes:read' }, { DPoP })
  assert.equal(token.token_type, 'dpop')
})

end()
