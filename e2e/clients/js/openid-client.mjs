// An app on openid-client (npm), https://github.com/panva/openid-client.
import assert from 'node:assert/strict'
import * as client from 'openid-client'
import { begin, discover, signIn } from './app.mjs'
import { end, fails, isLedTo, opens, rotate, seconds, settings, soon, step } from './story.mjs'

const { issuer, api, sub, clients } = settings
const { web, post, native, service } = clients

const config = await step('discovery (OpenID Connect Discovery §4)', async () => {
  const config = await discover(web.client_id, web.client_secret, client.ClientSecretBasic(web.client_secret))
  assert.equal(config.serverMetadata().issuer, issuer)
  assert.equal(config.serverMetadata().authorization_response_iss_parameter_supported, true)
  return config
})

await step('discovery at the RFC 8414 address', async () => {
  const config = await client.discovery(new URL(issuer), web.client_id, undefined, undefined, {
    algorithm: 'oauth2',
  })
  assert.equal(config.serverMetadata().issuer, issuer)
})

const tokens = await step('code flow with PKCE: tokens and an ID token that checks out', async () => {
  const tokens = await signIn(config, web.redirect_uri)
  const claims = tokens.claims()
  assert.equal(claims.sub, sub)
  assert.ok(claims.auth_time, 'auth_time')
  assert.ok(tokens.refresh_token, 'a refresh token')
  assert.equal(tokens.token_type, 'bearer')
  // It counts down.
  assert.ok(tokens.expiresIn() > 570 && tokens.expiresIn() <= 600, `expires in ${tokens.expiresIn()}`)
  return tokens
})

await step('max_age is asked for and auth_time holds it (OpenID Connect Core §3.1.2.1)', async () => {
  const { url, remembered } = await begin(config, web.redirect_uri, { max_age: '3600' })
  const tokens = await client.authorizationCodeGrant(config, await isLedTo(url), { ...remembered, maxAge: 3600 })
  assert.ok(tokens.claims().auth_time)
})

await step('userinfo, held to the ID token\'s subject', async () => {
  const info = await client.fetchUserInfo(config, tokens.access_token, sub)
  assert.equal(info.email, settings.email)
  assert.equal(info.given_name, 'Ann')
  await fails(client.fetchUserInfo(config, tokens.access_token, 'someone-else'), {
    code: 'OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED',
  })
})

const refreshed = await step('refresh: rotated, with an ID token of the same person', async () => {
  const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token)
  assert.notEqual(refreshed.refresh_token, tokens.refresh_token)
  assert.equal(refreshed.claims().sub, sub)
  return refreshed
})

await step('introspection', async () => {
  const known = await client.tokenIntrospection(config, refreshed.access_token)
  assert.deepEqual([known.active, known.sub, known.client_id], [true, sub, web.client_id])
  assert.equal((await client.tokenIntrospection(config, 'nonsense')).active, false)
})

await step('revocation ends the access token too (RFC 7009 §2.1)', async () => {
  await client.tokenRevocation(config, refreshed.refresh_token)
  await soon(async () => !(await client.tokenIntrospection(config, refreshed.access_token)).active)
  await fails(client.refreshTokenGrant(config, refreshed.refresh_token), {
    name: 'ResponseBodyError',
    error: 'invalid_grant',
    status: 400,
  })
  // RFC 7009 §2.2: an unknown token is no error.
  await client.tokenRevocation(config, 'nonsense')
})

await step('a revoked access token is refused with invalid_token (RFC 6750 §3.1)', async () => {
  await soon(() =>
    client.fetchUserInfo(config, refreshed.access_token, sub).then(
      () => false,
      (error) => {
        assert.equal(error.name, 'WWWAuthenticateChallengeError')
        assert.equal(error.status, 401)
        assert.equal(error.cause[0].scheme, 'bearer')
        assert.equal(error.cause[0].parameters.error, 'invalid_token')
        return true
      },
    ),
  )
})

await step('client_secret_post', async () => {
  const config = await discover(post.client_id, post.client_secret, client.ClientSecretPost(post.client_secret))
  const tokens = await signIn(config, post.redirect_uri)
  assert.equal(tokens.claims().sub, sub)
})

await step('a public client on a loopback port of its own (RFC 8252 §7.3)', async () => {
  const config = await discover(native.client_id, undefined, client.None())
  const tokens = await signIn(config, native.redirect_uri.replace('127.0.0.1', '127.0.0.1:49152'))
  const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token)
  await client.tokenRevocation(config, refreshed.refresh_token)
})

const job = await discover(service.client_id, service.client_secret, client.ClientSecretBasic(service.client_secret))

await step('client_credentials, for one resource (RFC 8707 §2)', async () => {
  const scope = 'referral-codes:read'
  const tokens = await client.clientCredentialsGrant(job, { scope, resource: api })
  assert.equal(tokens.scope, scope)
  assert.equal(tokens.refresh_token, undefined)
  const known = await client.tokenIntrospection(job, tokens.access_token)
  assert.equal(known.aud, api)
  const url = new URL(`${api}/v1/referral-codes/lookup?email=nobody@example.com`)
  const answer = await client.fetchProtectedResource(job, tokens.access_token, url, 'GET')
  assert.equal(answer.status, 404, 'let in, and told that there is no such code')
  await fails(client.clientCredentialsGrant(job, { resource: 'https://elsewhere.example' }), {
    error: 'invalid_target',
    status: 400,
  })
})

await step('a wrong client secret: invalid_client and a challenge (RFC 6749 §5.2)', async () => {
  const wrong = await discover(service.client_id, 'wrong', client.ClientSecretBasic('wrong'))
  const error = await fails(client.clientCredentialsGrant(wrong), { name: 'WWWAuthenticateChallengeError', status: 401 })
  assert.equal(error.cause[0].scheme, 'basic')
  assert.equal((await error.response.json()).error, 'invalid_client')
})

await step('a secret sent the wrong way: invalid_client', async () => {
  const other = await discover(service.client_id, undefined, client.ClientSecretPost(service.client_secret))
  await fails(client.clientCredentialsGrant(other), { error: 'invalid_client', status: 401 })
})

await step('a scope that was not registered: invalid_scope', async () => {
  await fails(client.clientCredentialsGrant(job, { scope: 'account:write' }), { error: 'invalid_scope', status: 400 })
})

await step('a grant that was not registered: unauthorized_client', async () => {
  await fails(client.clientCredentialsGrant(config), { error: 'unauthorized_client', status: 400 })
})

await step('a grant that does not exist: unsupported_grant_type', async () => {
  await fails(client.genericGrantRequest(job, 'urn:example:none', {}), { error: 'unsupported_grant_type', status: 400 })
})

await step('a wrong redirect URI: a page, and no redirect (RFC 6749 §4.1.2.1)', async () => {
  const { url } = await begin(config, 'https://evil.example/callback')
  assert.equal((await opens(url)).page.status, 400)
})

await step('denied: access_denied, with state and iss', async () => {
  // Consent is asked for again where more is wanted.
  const { url, remembered } = await begin(config, web.redirect_uri, { prompt: 'consent' })
  const callback = await isLedTo(url, { decision: 'deny' })
  await fails(client.authorizationCodeGrant(config, callback, remembered), {
    name: 'AuthorizationResponseError',
    error: 'access_denied',
  })
})

await step('prompt=none with nobody there: login_required', async () => {
  const { url, remembered } = await begin(config, web.redirect_uri, { prompt: 'none' })
  const callback = await isLedTo(url, { browser: 'nobody' })
  await fails(client.authorizationCodeGrant(config, callback, remembered), { error: 'login_required' })
})

await step('prompt=none with Ann there: a code', async () => {
  assert.equal((await signIn(config, web.redirect_uri, { prompt: 'none' })).claims().sub, sub)
})

await step('an unknown scope: invalid_scope', async () => {
  const { url, remembered } = await begin(config, web.redirect_uri, { scope: 'openid dragons' })
  await fails(client.authorizationCodeGrant(config, await isLedTo(url), remembered), { error: 'invalid_scope' })
})

await step('another sign-in\'s state, nonce and issuer are refused by the library', async () => {
  const first = await begin(config, web.redirect_uri)
  const callback = await isLedTo(first.url)
  await fails(client.authorizationCodeGrant(config, callback, { ...first.remembered, expectedState: 'other' }), {
    code: 'OAUTH_INVALID_RESPONSE',
  })
  const mixedUp = new URL(callback)
  mixedUp.searchParams.set('iss', 'https://evil.example')
  await fails(client.authorizationCodeGrant(config, mixedUp, first.remembered), { code: 'OAUTH_INVALID_RESPONSE' })
  await fails(client.authorizationCodeGrant(config, callback, { ...first.remembered, expectedNonce: 'other' }), {
    code: 'OAUTH_JWT_CLAIM_COMPARISON_FAILED',
  })
})

await step('a wrong verifier: invalid_grant (RFC 7636 §4.6)', async () => {
  const { url, remembered } = await begin(config, web.redirect_uri)
  const wrong = { ...remembered, pkceCodeVerifier: client.randomPKCECodeVerifier() }
  await fails(client.authorizationCodeGrant(config, await isLedTo(url), wrong), { error: 'invalid_grant', status: 400 })
})

await step('a replayed code: invalid_grant, and its tokens end (RFC 6749 §4.1.2)', async () => {
  const { url, remembered } = await begin(config, web.redirect_uri)
  const callback = await isLedTo(url)
  const tokens = await client.authorizationCodeGrant(config, callback, remembered)
  await fails(client.authorizationCodeGrant(config, callback, remembered), { error: 'invalid_grant', status: 400 })
  await soon(async () => !(await client.tokenIntrospection(config, tokens.access_token)).active)
})

await step('a refresh token of another client: invalid_grant', async () => {
  const other = await discover(post.client_id, post.client_secret, client.ClientSecretPost(post.client_secret))
  const tokens = await signIn(config, web.redirect_uri)
  await fails(client.refreshTokenGrant(other, tokens.refresh_token), { error: 'invalid_grant' })
  await client.refreshTokenGrant(config, tokens.refresh_token)
})

await step('an expired code: invalid_grant; an expired token: invalid_token', async () => {
  const tokens = await signIn(config, web.redirect_uri)
  const { url, remembered } = await begin(config, web.redirect_uri)
  const callback = await isLedTo(url)
  await seconds(61)
  await fails(client.authorizationCodeGrant(config, callback, remembered), { error: 'invalid_grant' })
  await seconds(600)
  const error = await fails(client.fetchUserInfo(config, tokens.access_token, sub), { status: 401 })
  assert.equal(error.cause[0].parameters.error, 'invalid_token')
  assert.equal((await client.tokenIntrospection(config, tokens.access_token)).active, false)
})

await step('other keys sign: the library fetches them (OpenID Connect Core §10.1.1)', async () => {
  // Apps whose clock agrees with the server's.
  const at = (skew) =>
    discover(
      web.client_id,
      { client_secret: web.client_secret, [client.clockSkew]: skew },
      client.ClientSecretBasic(web.client_secret),
    )
  const before = await at(661)
  await signIn(before, web.redirect_uri)
  const { jwks, uat } = client.getJwksCache(before)
  const after = await at(661 + (await rotate()))
  // It asks again for a key that it does not know once those it has are a minute old, by the machine's clock.
  client.setJwksCache(after, { jwks, uat: uat - 60 })
  assert.equal((await signIn(after, web.redirect_uri)).claims().sub, sub)
  assert.notDeepEqual(client.getJwksCache(after).jwks, jwks)
})

end()
