// What the apps on openid-client have in common: a sign-in, and what they remember of it.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { exportJWK, generateKeyPair } from 'jose'
import * as client from 'openid-client'
import { isLedTo, register, settings } from './story.mjs'

export const CALLBACK = 'http://127.0.0.1:1/callback'
export const CODE_FLOW = { redirect_uris: [CALLBACK], grant_types: ['authorization_code', 'refresh_token'] }

/** The library's configuration. In the code flow it leaves the ID token's signature to TLS unless asked to check it. */
export const discover = (id, metadata, authentication, ...execute) =>
  client.discovery(new URL(settings.issuer), id, metadata, authentication, {
    execute: [client.enableNonRepudiationChecks, ...execute],
  })

/** A client that the operator registers with this metadata, and the library's configuration for it. */
export async function app(metadata, authentication, ...execute) {
  const { client_id, client_secret } = await register(metadata)
  const { scopes, redirect_uris, grant_types, ...known } = metadata
  const method = authentication ?? (client_secret ? client.ClientSecretBasic(client_secret) : client.None())
  return discover(client_id, { ...known, client_secret }, method, ...execute)
}

/** Begins a sign-in; what the app has to remember of it is returned too. */
export async function begin(config, redirect_uri = CALLBACK, parameters = {}) {
  const verifier = client.randomPKCECodeVerifier()
  const remembered = {
    pkceCodeVerifier: verifier,
    expectedState: client.randomState(),
    expectedNonce: client.randomNonce(),
    idTokenExpected: true,
  }
  const request = {
    redirect_uri,
    scope: 'openid profile email offline_access',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state: remembered.expectedState,
    nonce: remembered.expectedNonce,
    ...parameters,
  }
  return { request, remembered, url: client.buildAuthorizationUrl(config, request) }
}

/** A whole sign-in. `options` are the library's, such as a DPoP handle. */
export async function signIn(config, redirect_uri, parameters, options) {
  const { url, remembered } = await begin(config, redirect_uri, parameters)
  return client.authorizationCodeGrant(config, await isLedTo(url), remembered, undefined, options)
}

/** A key of the app's own, as the library signs with it and as the app registers it. */
export async function signingKey(alg, kid = `${alg} key`) {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  return { key: { key: privateKey, kid }, jwks: { keys: [{ ...(await exportJWK(publicKey)), alg, kid, use: 'sig' }] } }
}

/** Something of the app's own, by https: where it listens, and how it stops. */
export async function serves(answer) {
  const [cert, key] = [settings.server.certificate, settings.server.key].map((path) => readFileSync(path))
  const server = createServer({ cert, key }, answer)
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening))
  return {
    url: `https://127.0.0.1:${server.address().port}`,
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
