"""A web app on Authlib and Flask, and programs on its sessions: https://docs.authlib.org."""

import asyncio

import flask
from authlib.integrations.base_client.errors import MismatchingStateError, OAuthError
from authlib.integrations.flask_client import OAuth
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.integrations.requests_client import AssertionSession, OAuth2Session
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc7523 import ClientSecretJWT, PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidClaimError
from joserfc.jwk import KeySet, RSAKey
from requests import HTTPError
from requests import get as fetch

from story import ask, end, fails, is_led_to, opens, settings, soon, step

ISSUER, API, SUB = settings["issuer"], settings["api"], settings["sub"]
WEB, POST, NATIVE, SERVICE = (settings["clients"][name] for name in ("web", "post", "native", "service"))
SCOPE = "openid profile email offline_access"


def web_app(name, client, leeway=lambda: 120, **client_kwargs):
    """A whole web app, as Authlib's documentation has it: it keeps state, nonce and verifier in its session."""
    app = flask.Flask(name)
    app.secret_key = "what signs the app's own session"
    oauth = OAuth(app)
    oauth.register(
        name="referris",
        server_metadata_url=f"{ISSUER}/.well-known/openid-configuration",
        client_id=client["client_id"],
        client_secret=client["client_secret"],
        client_kwargs={"scope": SCOPE, "code_challenge_method": "S256", **client_kwargs},
    )

    @app.get("/sign-in")
    def sign_in():
        return oauth.referris.authorize_redirect(client["redirect_uri"], **flask.request.args)

    @app.get("/callback")
    def callback():
        return dict(oauth.referris.authorize_access_token(leeway=leeway()))

    @app.get("/userinfo")
    def userinfo():
        return dict(oauth.referris.userinfo(token={"access_token": flask.request.args["token"], "token_type": "Bearer"}))

    app.testing = True  # errors come out as they are
    return app


class Browser:
    """What the app's own cookies live in."""

    def __init__(self, app):
        self.client = app.test_client()

    def begins(self, **parameters):
        answer = self.client.get("/sign-in", query_string=parameters)
        assert answer.status_code == 302, answer.text
        return answer.location

    def returns(self, callback):
        return self.client.get("/callback?" + callback.split("?", 1)[1])

    def signs_in(self, **parameters):
        answer = self.returns(is_led_to(self.begins(**parameters)))
        assert answer.status_code == 200, answer.text
        return answer.json


@step("discovery: valid OpenID provider and authorization server metadata")
def metadata():
    document = fetch(get_well_known_url(ISSUER, external=True, suffix="openid-configuration"), timeout=10).json()
    OpenIDProviderMetadata(document).validate()
    other = fetch(get_well_known_url(ISSUER, external=True, suffix="oauth-authorization-server"), timeout=10).json()
    AuthorizationServerMetadata(other).validate()
    return document


wonder = web_app("wonder", WEB)


@step("a web app signs Ann in: PKCE, state, nonce, ID token checked by the library")
def tokens():
    tokens = Browser(wonder).signs_in()
    claims = tokens["userinfo"]
    assert (claims["sub"], claims["iss"], claims["aud"]) == (SUB, ISSUER, [WEB["client_id"]]), claims
    assert tokens["refresh_token"] and tokens["token_type"] == "Bearer" and tokens["expires_in"] == 600
    return tokens


@step("userinfo")
def _():
    info = Browser(wonder).client.get("/userinfo", query_string={"token": tokens["access_token"]}).json
    assert (info["sub"], info["email"], info["given_name"]) == (SUB, settings["email"], "Ann"), info
    with fails(HTTPError) as _:
        Browser(wonder).client.get("/userinfo", query_string={"token": "nonsense"})


def session(client, **more):
    endpoint = {"token_endpoint": metadata["token_endpoint"]}
    return OAuth2Session(client["client_id"], client["client_secret"], **endpoint, **more)


web = session(WEB)


def introspected(token, by=web):
    answer = by.introspect_token(metadata["introspection_endpoint"], token=token)
    answer.raise_for_status()
    return answer.json()


@step("refresh: rotated, and again with the ID token of the same person")
def refreshed():
    refreshed = web.refresh_token(refresh_token=tokens["refresh_token"])
    assert refreshed["refresh_token"] != tokens["refresh_token"]
    keys = KeySet.import_key_set(fetch(metadata["jwks_uri"], timeout=10).json())
    algorithms = metadata["id_token_signing_alg_values_supported"]
    claims = jwt.decode(refreshed["id_token"], keys, algorithms=algorithms).claims
    rules = {"iss": {"value": ISSUER}, "aud": {"value": WEB["client_id"]}, "sub": {"value": SUB}}
    jwt.JWTClaimsRegistry(**{name: {"essential": True, **rule} for name, rule in rules.items()}).validate(claims)
    with fails(InvalidClaimError, claim="aud"):
        jwt.JWTClaimsRegistry(aud={"essential": True, "value": "someone else"}).validate(claims)
    head, body, signature = refreshed["id_token"].split(".")
    forged = ".".join([head, body, signature[:-8] + ("AAAAAAAA" if signature[-8:] != "AAAAAAAA" else "BBBBBBBB")])
    with fails(BadSignatureError):
        jwt.decode(forged, keys, algorithms=algorithms)
    return refreshed


@step("introspection; revocation ends the access token too (RFC 7009 §2.1)")
def _():
    known = introspected(refreshed["access_token"])
    assert (known["active"], known["sub"], known["client_id"]) == (True, SUB, WEB["client_id"]), known
    web.revoke_token(metadata["revocation_endpoint"], token=refreshed["refresh_token"]).raise_for_status()
    soon(lambda: not introspected(refreshed["access_token"])["active"])
    with fails(OAuthError, error="invalid_grant"):
        web.refresh_token(refresh_token=refreshed["refresh_token"])
    web.revoke_token(metadata["revocation_endpoint"], token="nonsense").raise_for_status()


@step("client_secret_post")
def _():
    app = web_app("post", POST, token_endpoint_auth_method="client_secret_post")
    assert Browser(app).signs_in()["userinfo"]["sub"] == SUB


@step("a public client, with PKCE alone")
def _():
    tokens = Browser(web_app("native", NATIVE, token_endpoint_auth_method="none")).signs_in()
    assert tokens["userinfo"]["sub"] == SUB
    native = session(NATIVE, token_endpoint_auth_method="none")
    refreshed = native.refresh_token(refresh_token=tokens["refresh_token"])
    assert refreshed["refresh_token"] != tokens["refresh_token"]


@step("client_credentials, for one resource (RFC 8707 §2), with requests")
def _():
    job = session(SERVICE)
    token = job.fetch_token(grant_type="client_credentials", scope="referral-codes:read", resource=API)
    assert token["scope"] == "referral-codes:read" and "refresh_token" not in token
    assert introspected(token["access_token"], by=job)["aud"] == API
    answer = job.get(f"{API}/v1/referral-codes/lookup", params={"email": "nobody@example.com"})
    assert answer.status_code == 404, "let in, and told that there is no such code"
    with fails(OAuthError, error="invalid_target"):
        job.fetch_token(grant_type="client_credentials", resource="https://elsewhere.example")
    with fails(OAuthError, error="invalid_scope"):
        job.fetch_token(grant_type="client_credentials", scope="account:write")
    with fails(OAuthError, error="unauthorized_client"):
        web.fetch_token(grant_type="client_credentials")
    with fails(OAuthError, error="unsupported_grant_type"):
        job.fetch_token(grant_type="urn:example:none")


@step("client_credentials with httpx, asynchronously")
def _():
    async def run():
        async with AsyncOAuth2Client(SERVICE["client_id"], SERVICE["client_secret"]) as job:
            token = await job.fetch_token(metadata["token_endpoint"], grant_type="client_credentials", scope="openid")
            assert token["expires_in"] == 600
            known = await job.introspect_token(metadata["introspection_endpoint"], token=token["access_token"])
            assert known.json()["client_id"] == SERVICE["client_id"]

    asyncio.run(run())


@step("private_key_jwt and client_secret_jwt, as the library signs them (RFC 7523)")
def _():
    key = RSAKey.generate_key(2048, parameters={"kid": "mine"}, private=True)
    machine = {"redirect_uris": [], "grant_types": ["client_credentials"]}

    def job(method, secret=None, **more):
        metadata = {**machine, "token_endpoint_auth_method": method, **more}
        registered = ask(ask="register", metadata=metadata)
        job = session({**registered, "client_secret": secret or registered["client_secret"]}, token_endpoint_auth_method=method)
        job.register_client_auth_method(PrivateKeyJWT(job.metadata["token_endpoint"]))
        job.register_client_auth_method(ClientSecretJWT(job.metadata["token_endpoint"]))
        return job

    jwks = {"keys": [key.as_dict(private=False)]}
    assert job("private_key_jwt", key, jwks=jwks).fetch_token(grant_type="client_credentials")["expires_in"] == 600
    assert job("client_secret_jwt").fetch_token(grant_type="client_credentials")["expires_in"] == 600
    with fails(OAuthError, error="invalid_client"):
        job("private_key_jwt", RSAKey.generate_key(2048), jwks=jwks).fetch_token(grant_type="client_credentials")
    with fails(OAuthError, error="invalid_client"):
        job("client_secret_jwt", "w" * 43).fetch_token(grant_type="client_credentials")


@step("the JWT bearer grant: a service of ours acts for a person it knows (RFC 7523 §2.1)")
def _():
    key = RSAKey.generate_key(2048, parameters={"kid": "mine"}, private=True)
    grants = {"redirect_uris": [], "grant_types": [AssertionSession.JWT_BEARER_GRANT_TYPE]}
    jwks = {"keys": [key.as_dict(private=False)]}
    ours = ask(ask="register", first_party=True, metadata={**grants, "jwks": jwks})

    def acts(key=key, **changes):
        """A session that signs for itself when it needs a token."""
        said = {
            "issuer": ours["client_id"],
            "subject": SUB,
            "scope": "openid referrals:read",
            "header": {"alg": "RS256", "kid": "mine"},
            **changes,
        }
        acting = AssertionSession(metadata["token_endpoint"], key=key, **said)
        # The client says who it is besides (RFC 7521 §4.1).
        acting.auth = (ours["client_id"], ours["client_secret"])
        return acting

    acting = acts()
    assert acting.get(f"{API}/v1/referrers/me/referrals").status_code == 200
    assert introspected(acting.token["access_token"], by=session(ours))["sub"] == SUB
    assert "refresh_token" not in acting.token and "id_token" not in acting.token
    for changes in (
        {"key": RSAKey.generate_key(2048, private=True)},
        {"subject": "00000000-0000-7000-8000-000000000000"},
        {"subject": settings["email"]},
        {"issuer": SERVICE["client_id"]},
        {"audience": "https://elsewhere.example"},
        {"expires_at": 1_000_000_000},
    ):
        with fails(OAuth2Error, error="invalid_grant"):
            acts(**changes).refresh_token()
    # An assertion serves once.
    once = acts(claims={"jti": "the same"})
    once.refresh_token()
    with fails(OAuth2Error, error="invalid_grant"):
        once.refresh_token()
    # A service that did not register the grant.
    with fails(OAuthError, error="unauthorized_client"):
        session(SERVICE).fetch_token(grant_type=AssertionSession.JWT_BEARER_GRANT_TYPE, assertion="nonsense")


@step("a wrong client secret: invalid_client (RFC 6749 §5.2)")
def _():
    for method in ("client_secret_basic", "client_secret_post"):
        wrong = session({**SERVICE, "client_secret": "wrong"}, token_endpoint_auth_method=method)
        with fails(OAuthError, error="invalid_client"):
            wrong.fetch_token(grant_type="client_credentials")


@step("a wrong redirect URI: a page, and no redirect (RFC 6749 §4.1.2.1)")
def _():
    app = web_app("elsewhere", {**WEB, "redirect_uri": "https://evil.example/callback"})
    assert opens(Browser(app).begins())["page"]["status"] == 400


@step("denied: access_denied; nobody there: login_required; an unknown scope: invalid_scope")
def _():
    for parameters, visit, error in [
        ({"prompt": "consent"}, {"decision": "deny"}, "access_denied"),
        ({"prompt": "none"}, {"browser": "nobody"}, "login_required"),
        ({"scope": "openid dragons"}, {}, "invalid_scope"),
    ]:
        browser = Browser(wonder)
        with fails(OAuthError, error=error):
            browser.returns(is_led_to(browser.begins(**parameters), **visit))


@step("another browser's state and another sign-in's nonce are refused by the library")
def _():
    callback = is_led_to(Browser(wonder).begins())
    with fails(MismatchingStateError, error="mismatching_state"):
        Browser(wonder).returns(callback)
    browser = Browser(wonder)
    # The request that reaches the server is not the one that the app began.
    swapped = browser.begins(nonce="what the app remembers").replace("what+the+app+remembers", "what+came")
    assert "what+came" in swapped, swapped
    with fails(InvalidClaimError, claim="nonce"):
        browser.returns(is_led_to(swapped))


@step("a code replayed, or redeemed with another verifier or redirect URI: invalid_grant")
def _():
    def code(client=WEB):
        begun = session(client, scope=SCOPE, redirect_uri=client["redirect_uri"], code_challenge_method="S256")
        verifier = "v" * 43
        url, _ = begun.create_authorization_url(metadata["authorization_endpoint"], code_verifier=verifier)
        return begun, {"authorization_response": is_led_to(url), "code_verifier": verifier}

    begun, redeem = code()
    first = begun.fetch_token(**redeem)
    with fails(OAuthError, error="invalid_grant"):
        begun.fetch_token(**redeem)
    soon(lambda: not introspected(first["access_token"])["active"])
    for wrong in ({"code_verifier": "w" * 43}, {"redirect_uri": "http://127.0.0.1:1/elsewhere"}):
        begun, redeem = code()
        with fails(OAuthError, error="invalid_grant"):
            begun.fetch_token(**{**redeem, **wrong})
    # And by another client.
    _, redeem = code()
    with fails(OAuthError, error="invalid_grant"):
        session(POST, token_endpoint_auth_method="client_secret_post", redirect_uri=WEB["redirect_uri"]).fetch_token(**redeem)


@step("an expired code: invalid_grant; an expired token: inactive, and refused")
def _():
    browser = Browser(wonder)
    tokens = browser.signs_in()
    callback = is_led_to(browser.begins())
    ask(ask="pass", seconds=61)
    with fails(OAuthError, error="invalid_grant"):
        browser.returns(callback)
    ask(ask="pass", seconds=600)
    assert introspected(tokens["access_token"]) == {"active": False}
    with fails(HTTPError) as _:
        browser.client.get("/userinfo", query_string={"token": tokens["access_token"]})


@step("other keys sign: the library fetches them (OpenID Connect Core §10.1.1)")
def _():
    ahead = {"seconds": 661}

    # The app's clock can't be moved; it allows for the server's.
    app = web_app("patient", WEB, leeway=lambda: ahead["seconds"])
    Browser(app).signs_in()
    ahead["seconds"] += ask(ask="rotate")["seconds"] + 60
    assert Browser(app).signs_in()["userinfo"]["sub"] == SUB


end()
