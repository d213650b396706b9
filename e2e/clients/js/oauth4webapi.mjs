// An app on oauth4webapi (npm), https://github.com/panva/oauth4webapi: each message by hand, each check by the library.
import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import { end, fails, isLedTo, rotate, seconds, settings, soon, step } from './story.mjs'

const { issuer, api, sub, clients } = settings
const { web, service } = clients
const app = { client_id: web.client_id }
const basic = oauth.ClientSecretBasic(web.client_secret)

const as = await step('discovery (OpenID Connect Discovery §4 and RFC 8414 §3)', async () => {
  const found = []
  for (const algorithm of ['oidc', 'oauth2']) {
    const response = await oauth.discoveryRequest(new URL(issuer), { algorithm })
    found.push(await oauth.processDiscoveryResponse(new URL(issuer), response))
  }
  assert.equal(found[0].token_endpoint, found[1].token_endpoint)
  return found[0]
})

/** Begins a sign-in as the app's code would, without a library's help. */
async function begin(parameters = {}) {
  const verifier = oauth.generateRandomCodeVerifier()
  const request = {
    client_id: app.client_id,
    redirect_uri: web.redirect_uri,
    response_type: 'code',
    scope: 'openid email offline_access',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state: oauth.generateRandomState(),
    nonce: oauth.generateRandomNonce(),
    ...parameters,
  }
  const url = new URL(as.authorization_endpoint)
  for (const [name, value] of Object.entries(request)) url.searchParams.set(name, value)
  return { url, request, verifier }
}

const exchange = (callback, verifier, redirect = web.redirect_uri) =>
  oauth.authorizationCodeGrantRequest(as, app, basic, callback, redirect, verifier)

const tokens = await step('code flow with PKCE; signature, nonce and auth_time of the ID token', async () => {
  const { url, request, verifier } = await begin({ max_age: '600' })
  const callback = oauth.validateAuthResponse(as, app, await isLedTo(url), request.state)
  const response = await exchange(callback, verifier)
  const result = await oauth.processAuthorizationCodeResponse(as, app, response, {
    expectedNonce: request.nonce,
    maxAge: 600,
    requireIdToken: true,
  })
  await oauth.validateApplicationLevelSignature(as, response)
  assert.equal(oauth.getValidatedIdTokenClaims(result).sub, sub)
  assert.equal(response.headers.get('cache-control'), 'no-store')
  return result
})

await step('userinfo', async () => {
  const response = await oauth.userInfoRequest(as, app, tokens.access_token)
  const info = await oauth.processUserInfoResponse(as, app, sub, response)
  assert.equal(info.email, settings.email)
})

const refreshed = await step('refresh', async () => {
  const response = await oauth.refreshTokenGrantRequest(as, app, basic, tokens.refresh_token)
  const result = await oauth.processRefreshTokenResponse(as, app, response)
  assert.equal(oauth.getValidatedIdTokenClaims(result).sub, sub)
  return result
})

const introspect = async (token) => {
  const response = await oauth.introspectionRequest(as, app, basic, token)
  return oauth.processIntrospectionResponse(as, app, response)
}

await step('introspection and revocation', async () => {
  assert.equal((await introspect(refreshed.access_token)).sub, sub)
  const response = await oauth.revocationRequest(as, app, basic, refreshed.refresh_token)
  await oauth.processRevocationResponse(response)
  await soon(async () => !(await introspect(refreshed.access_token)).active)
})

await step('client_credentials: an access token that a resource server on the same library takes (RFC 9068 §4)', async () => {
  const client = { client_id: service.client_id }
  const secret = oauth.ClientSecretBasic(service.client_secret)
  const form = new URLSearchParams({ scope: 'referral-codes:read', resource: api })
  const response = await oauth.clientCredentialsGrantRequest(as, client, secret, form)
  const { access_token } = await oauth.processClientCredentialsResponse(as, client, response)
  const call = () => new Request(`${api}/v1`, { headers: { authorization: `Bearer ${access_token}` } })
  const claims = await oauth.validateJwtAccessToken(as, call(), api)
  assert.equal(claims.client_id, service.client_id)
  assert.equal(claims.scope, 'referral-codes:read')
  await fails(oauth.validateJwtAccessToken(as, call(), issuer), { code: 'OAUTH_JWT_CLAIM_COMPARISON_FAILED' })
})

await step('the API says whose tokens it takes (RFC 9728 §3)', async () => {
  const response = await oauth.resourceDiscoveryRequest(new URL(api))
  const resource = await oauth.processResourceDiscoveryResponse(new URL(api), response)
  assert.deepEqual(resource.authorization_servers, [issuer])
})

await step('a call without a token is challenged, with the way to the metadata (RFC 9728 §5.1)', async () => {
  const url = new URL(`${api}/v1/referral-codes`)
  const error = await fails(oauth.protectedResourceRequest('nonsense', 'GET', url), {
    name: 'WWWAuthenticateChallengeError',
    status: 401,
  })
  assert.equal(error.cause[0].parameters.error, 'invalid_token')
  assert.equal(error.cause[0].parameters.resource_metadata, `${api}/.well-known/oauth-protected-resource`)
})

await step('a wrong state, an issuer that is not ours and a refusal are told apart', async () => {
  const { url, request } = await begin()
  const back = await isLedTo(url)
  const check = async (callback, state) => oauth.validateAuthResponse(as, app, callback, state)
  await fails(check(back, 'other'), { code: 'OAUTH_INVALID_RESPONSE' })
  const mixedUp = new URL(back)
  mixedUp.searchParams.delete('iss')
  await fails(check(mixedUp, request.state), { code: 'OAUTH_INVALID_RESPONSE' })
  const denied = await begin({ prompt: 'consent' })
  const refusal = await isLedTo(denied.url, { decision: 'deny' })
  await fails(check(refusal, denied.request.state), { name: 'AuthorizationResponseError', error: 'access_denied' })
  const silent = await begin({ prompt: 'none' })
  const nobody = await isLedTo(silent.url, { browser: 'nobody' })
  await fails(check(nobody, silent.request.state), { name: 'AuthorizationResponseError', error: 'login_required' })
})

await step('a wrong nonce, a wrong redirect URI, a wrong verifier and a replayed code', async () => {
  const process = (response, nonce) =>
    oauth.processAuthorizationCodeResponse(as, app, response, { expectedNonce: nonce, requireIdToken: true })
  const redeem = async (changed = {}) => {
    const { url, request, verifier } = await begin()
    const callback = oauth.validateAuthResponse(as, app, await isLedTo(url), request.state)
    const response = await exchange(callback, changed.verifier ?? verifier, changed.redirect_uri)
    await process(response, changed.nonce ?? request.nonce)
    return { callback, verifier, nonce: request.nonce }
  }
  await fails(redeem({ nonce: 'other' }), { code: 'OAUTH_JWT_CLAIM_COMPARISON_FAILED' })
  const invalid = { name: 'ResponseBodyError', error: 'invalid_grant', status: 400 }
  await fails(redeem({ redirect_uri: 'http://127.0.0.1:1/elsewhere' }), invalid)
  await fails(redeem({ verifier: oauth.generateRandomCodeVerifier() }), invalid)
  const { callback, verifier, nonce } = await redeem()
  await fails(process(await exchange(callback, verifier), nonce), invalid)
})

await step('a wrong client secret', async () => {
  const wrong = oauth.ClientSecretBasic('wrong')
  const response = await oauth.refreshTokenGrantRequest(as, app, wrong, 'nonsense')
  const error = await fails(oauth.processRefreshTokenResponse(as, app, response), {
    name: 'WWWAuthenticateChallengeError',
    status: 401,
  })
  assert.equal((await error.response.json()).error, 'invalid_client')
})

await step('an expired code; and other keys that sign, which the library fetches (OpenID Connect Core §10.1.1)', async () => {
  const late = await begin()
  const callback = oauth.validateAuthResponse(as, app, await isLedTo(late.url), late.request.state)
  await seconds(61)
  const response = await exchange(callback, late.verifier)
  await fails(oauth.processAuthorizationCodeResponse(as, app, response), { error: 'invalid_grant', status: 400 })

  const cache = {}
  const signsIn = async (skew) => {
    const moved = { ...app, [oauth.clockSkew]: skew }
    const { url, request, verifier } = await begin()
    const callback = oauth.validateAuthResponse(as, moved, await isLedTo(url), request.state)
    const response = await oauth.authorizationCodeGrantRequest(as, moved, basic, callback, web.redirect_uri, verifier)
    await oauth.processAuthorizationCodeResponse(as, moved, response, { expectedNonce: request.nonce })
    await oauth.validateApplicationLevelSignature({ ...as }, response, { [oauth.jwksCache]: cache })
  }
  await signsIn(61)
  const before = cache.jwks
  const skew = 61 + (await rotate())
  // It asks again for a key that it does not know once those it has are a minute old, by the machine's clock.
  await fails(signsIn(skew), { code: 'OAUTH_KEY_SELECTION_FAILED' })
  cache.uat -= 60
  await signsIn(skew)
  assert.notDeepEqual(cache.jwks, before)
})

end()
