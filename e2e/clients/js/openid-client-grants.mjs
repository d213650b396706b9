// The other grants, with openid-client.
import assert from 'node:assert/strict'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import * as client from 'openid-client'
import { CALLBACK, CODE_FLOW, app, serves, signIn } from './app.mjs'
import { ask, device, end, fails, seconds, settings, soon, step } from './story.mjs'

const { api, issuer, sub } = settings
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'

await step('token exchange: a narrower token for one resource (RFC 8693 §2)', async () => {
  const config = await app({ redirect_uris: [CALLBACK], grant_types: ['authorization_code', EXCHANGE] })
  const { access_token } = await signIn(config, CALLBACK, { scope: 'openid referrals:read referral-codes:read' })
  const exchange = (parameters) =>
    client.genericGrantRequest(config, EXCHANGE, {
      subject_token: access_token,
      subject_token_type: ACCESS_TOKEN,
      resource: api,
      scope: 'referrals:read',
      ...parameters,
    })
  const exchanged = await exchange()
  assert.equal(exchanged.issued_token_type, ACCESS_TOKEN)
  assert.equal(exchanged.scope, 'referrals:read')
  const known = await client.tokenIntrospection(config, exchanged.access_token)
  assert.deepEqual([known.active, known.sub, known.aud], [true, sub, api])
  const url = new URL(`${api}/v1/referrers/me/referrals`)
  assert.equal((await client.fetchProtectedResource(config, exchanged.access_token, url, 'GET')).status, 200)

  await fails(exchange({ subject_token: 'nonsense' }), { error: 'invalid_request', status: 400 })
  await fails(exchange({ scope: 'referral-codes:write' }), { error: 'invalid_scope', status: 400 })
  await fails(exchange({ resource: 'https://elsewhere.example' }), { error: 'invalid_target', status: 400 })
  const other = await app({ redirect_uris: [CALLBACK], grant_types: ['authorization_code'] })
  await fails(client.genericGrantRequest(other, EXCHANGE, {}), { error: 'unauthorized_client', status: 400 })
})

await step('sign-out (RP-Initiated Logout §2): back to the app, told to it on the back channel (§2.5)', async () => {
  const told = []
  const site = await serves(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    told.push(new URLSearchParams(body).get('logout_token'))
    response.end()
  })
  const bye = 'http://127.0.0.1:1/bye'
  const config = await app({
    ...CODE_FLOW,
    post_logout_redirect_uris: [bye],
    backchannel_logout_uri: `${site.url}/`,
    backchannel_logout_session_required: true,
  })
  const tokens = await signIn(config)
  const url = client.buildEndSessionUrl(config, {
    post_logout_redirect_uri: bye,
    id_token_hint: tokens.id_token,
    state: 'of the app',
  })
  const end = await ask({ ask: 'logout', url: url.href, browser: 'ann' })
  const led = end.callback ? [end.callback] : end.page.links
  assert.ok(led.includes(`${bye}?state=of+the+app`) || led.includes(`${bye}?state=of%20the%20app`), JSON.stringify(led))
  await soon(() => told.length > 0)
  site.close()
  const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri))
  const { client_id } = config.clientMetadata()
  const { payload } = await jwtVerify(told[0], keys, { issuer, audience: client_id, typ: 'logout+jwt' })
  assert.deepEqual([payload.sub, payload.sid], [sub, tokens.claims().sid])
  assert.deepEqual(payload.events, { 'http://schemas.openid.net/event/backchannel-logout': {} })
  assert.equal(payload.nonce, undefined)
  // Whoever comes back has to sign in again.
  const silent = signIn(config, CALLBACK, { prompt: 'none' })
  await fails(silent, { error: 'login_required' })
})

await step('a sign-out that leads elsewhere than registered stays on a page', async () => {
  const config = await app({ ...CODE_FLOW, post_logout_redirect_uris: ['http://127.0.0.1:1/bye'] })
  const { id_token } = await signIn(config)
  const wrong = { post_logout_redirect_uri: 'https://evil.example/', id_token_hint: id_token }
  const end = await ask({ ask: 'logout', url: client.buildEndSessionUrl(config, wrong).href, browser: 'ann' })
  assert.equal(end.callback, undefined)
  assert.ok(!end.page.links.includes('https://evil.example/'))
})

const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code'

await step('a device: the code on another screen, and tokens when it is allowed (RFC 8628)', async () => {
  const config = await app({ redirect_uris: [], grant_types: [DEVICE], token_endpoint_auth_method: 'none' })
  const asked = await client.initiateDeviceAuthorization(config, { scope: 'openid email' })
  assert.match(asked.user_code, /^[A-Z]{4}-[A-Z]{4}$/)
  const poll = () => client.genericGrantRequest(config, DEVICE, { device_code: asked.device_code })
  await fails(poll(), { error: 'authorization_pending', status: 400 })
  await fails(poll(), { error: 'slow_down', status: 400 })
  const end = await device(asked.verification_uri_complete)
  assert.equal(end.page?.status, 200, JSON.stringify(end))
  await seconds(30)
  const tokens = await client.pollDeviceAuthorizationGrant(config, { ...asked, interval: 0 })
  assert.equal(tokens.claims().sub, sub)
  await fails(poll(), { error: 'invalid_grant', status: 400 })
})

await step('a device that is refused: access_denied; that is forgotten: expired_token (§3.5)', async () => {
  const config = await app({ redirect_uris: [], grant_types: [DEVICE], token_endpoint_auth_method: 'none' })
  const asked = await client.initiateDeviceAuthorization(config, { scope: 'openid' })
  await device(asked.verification_uri_complete, 'deny')
  await fails(client.pollDeviceAuthorizationGrant(config, { ...asked, interval: 0 }), { error: 'access_denied' })
  const late = await client.initiateDeviceAuthorization(config, { scope: 'openid' })
  await seconds(late.expires_in + 1)
  await fails(client.pollDeviceAuthorizationGrant(config, { ...late, interval: 0 }), { error: 'expired_token' })
})

end()
