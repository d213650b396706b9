package clients;

import static clients.Story.demand;
import static clients.Story.fails;
import static clients.Story.same;
import static clients.Story.soon;

import clients.Story.Client;
import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSHeader;
import com.nimbusds.jose.crypto.ECDSASigner;
import com.nimbusds.jose.jwk.Curve;
import com.nimbusds.jose.jwk.ECKey;
import com.nimbusds.jose.jwk.JWKSet;
import com.nimbusds.jose.jwk.gen.ECKeyGenerator;
import com.nimbusds.jose.proc.BadJOSEException;
import com.nimbusds.jwt.JWT;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.SignedJWT;
import com.nimbusds.oauth2.sdk.AuthorizationCode;
import com.nimbusds.oauth2.sdk.AuthorizationCodeGrant;
import com.nimbusds.oauth2.sdk.AuthorizationGrant;
import com.nimbusds.oauth2.sdk.AuthorizationRequest;
import com.nimbusds.oauth2.sdk.AuthorizationSuccessResponse;
import com.nimbusds.oauth2.sdk.ClientCredentialsGrant;
import com.nimbusds.oauth2.sdk.ErrorObject;
import com.nimbusds.oauth2.sdk.GeneralException;
import com.nimbusds.oauth2.sdk.PushedAuthorizationRequest;
import com.nimbusds.oauth2.sdk.PushedAuthorizationResponse;
import com.nimbusds.oauth2.sdk.RefreshTokenGrant;
import com.nimbusds.oauth2.sdk.ResponseType;
import com.nimbusds.oauth2.sdk.Scope;
import com.nimbusds.oauth2.sdk.TokenIntrospectionRequest;
import com.nimbusds.oauth2.sdk.TokenIntrospectionResponse;
import com.nimbusds.oauth2.sdk.TokenIntrospectionSuccessResponse;
import com.nimbusds.oauth2.sdk.TokenRequest;
import com.nimbusds.oauth2.sdk.TokenResponse;
import com.nimbusds.oauth2.sdk.TokenRevocationRequest;
import com.nimbusds.oauth2.sdk.as.AuthorizationServerMetadata;
import com.nimbusds.oauth2.sdk.auth.ClientAuthentication;
import com.nimbusds.oauth2.sdk.auth.ClientSecretBasic;
import com.nimbusds.oauth2.sdk.auth.ClientSecretPost;
import com.nimbusds.oauth2.sdk.auth.PrivateKeyJWT;
import com.nimbusds.oauth2.sdk.auth.Secret;
import com.nimbusds.oauth2.sdk.dpop.DPoPProofFactory;
import com.nimbusds.oauth2.sdk.dpop.DefaultDPoPProofFactory;
import com.nimbusds.oauth2.sdk.http.HTTPRequest;
import com.nimbusds.oauth2.sdk.http.HTTPResponse;
import com.nimbusds.oauth2.sdk.id.ClientID;
import com.nimbusds.oauth2.sdk.id.Issuer;
import com.nimbusds.oauth2.sdk.id.State;
import com.nimbusds.oauth2.sdk.pkce.CodeChallengeMethod;
import com.nimbusds.oauth2.sdk.pkce.CodeVerifier;
import com.nimbusds.oauth2.sdk.token.AccessToken;
import com.nimbusds.oauth2.sdk.token.BearerAccessToken;
import com.nimbusds.oauth2.sdk.token.BearerTokenError;
import com.nimbusds.oauth2.sdk.token.RefreshToken;
import com.nimbusds.oauth2.sdk.token.Token;
import com.nimbusds.openid.connect.sdk.AuthenticationRequest;
import com.nimbusds.openid.connect.sdk.AuthenticationResponse;
import com.nimbusds.openid.connect.sdk.AuthenticationResponseParser;
import com.nimbusds.openid.connect.sdk.Nonce;
import com.nimbusds.openid.connect.sdk.OIDCTokenResponse;
import com.nimbusds.openid.connect.sdk.OIDCTokenResponseParser;
import com.nimbusds.openid.connect.sdk.Prompt;
import com.nimbusds.openid.connect.sdk.UserInfoRequest;
import com.nimbusds.openid.connect.sdk.UserInfoResponse;
import com.nimbusds.openid.connect.sdk.claims.AccessTokenHash;
import com.nimbusds.openid.connect.sdk.claims.IDTokenClaimsSet;
import com.nimbusds.openid.connect.sdk.op.OIDCProviderMetadata;
import com.nimbusds.openid.connect.sdk.token.OIDCTokens;
import com.nimbusds.openid.connect.sdk.validators.AccessTokenValidator;
import com.nimbusds.openid.connect.sdk.validators.IDTokenValidator;
import java.net.URI;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/** An app on Nimbus' OAuth 2.0 SDK with OpenID Connect extensions. */
public final class Nimbus {
    private final Story story;
    private final Issuer issuer;
    private final String api;
    private final Client web;
    private final Client service;
    private final ClientAuthentication secret;
    private OIDCProviderMetadata server;

    private Nimbus(Story story) throws Exception {
        this.story = story;
        issuer = new Issuer(story.setting("issuer"));
        api = story.setting("api");
        web = story.client("web");
        service = story.client("service");
        secret = new ClientSecretBasic(web.id(), web.secret());
    }

    public static void main(String[] arguments) throws Exception {
        new Nimbus(new Story(arguments[0])).play();
    }

    /** What the app remembers of a sign-in it began. */
    record Begun(URI url, State state, Nonce nonce, CodeVerifier verifier) {}

    private Begun begin(Consumer<AuthenticationRequest.Builder> changes) {
        State state = new State();
        Nonce nonce = new Nonce();
        CodeVerifier verifier = new CodeVerifier();
        Scope scope = new Scope("openid", "profile", "email", "offline_access");
        AuthenticationRequest.Builder request =
                new AuthenticationRequest.Builder(ResponseType.CODE, scope, web.id(), web.redirect())
                        .endpointURI(server.getAuthorizationEndpointURI())
                        .state(state)
                        .nonce(nonce)
                        .codeChallenge(verifier, CodeChallengeMethod.S256);
        changes.accept(request);
        return new Begun(request.build().toURI(), state, nonce, verifier);
    }

    private Begun begin() {
        return begin(request -> {});
    }

    /** The response as the app takes it: only with the state it sent, and from the issuer it asked (RFC 9207 §2.4). */
    private AuthenticationResponse response(Begun begun, String browser, String decision) throws Exception {
        AuthenticationResponse response =
                AuthenticationResponseParser.parse(story.isLedTo(begun.url, browser, decision));
        same(begun.state, response.getState());
        same(issuer, response.getIssuer());
        return response;
    }

    private AuthorizationCode code(Begun begun) throws Exception {
        AuthenticationResponse response = response(begun, "ann", "allow");
        demand(response.indicatesSuccess(), response);
        return ((AuthorizationSuccessResponse) response.toSuccessResponse()).getAuthorizationCode();
    }

    private TokenResponse asks(ClientAuthentication authentication, AuthorizationGrant grant) throws Exception {
        return send(new TokenRequest.Builder(server.getTokenEndpointURI(), authentication, grant));
    }

    private static TokenResponse send(TokenRequest.Builder request) throws Exception {
        return OIDCTokenResponseParser.parse(request.build().toHTTPRequest().send());
    }

    private static OIDCTokens tokens(TokenResponse response) {
        demand(response.indicatesSuccess(), response.toHTTPResponse().getBody());
        return ((OIDCTokenResponse) response.toSuccessResponse()).getOIDCTokens();
    }

    private AuthorizationCodeGrant grant(Begun begun) throws Exception {
        return new AuthorizationCodeGrant(code(begun), web.redirect(), begun.verifier);
    }

    private OIDCTokens signsIn(Begun begun) throws Exception {
        return tokens(asks(secret, grant(begun)));
    }

    private static ECKey key() throws Exception {
        return new ECKeyGenerator(Curve.P_256).generate();
    }

    /** An app that signs: its requests, and its proofs of who it is. */
    private record Signed(ClientID id, ECKey key) {
        PrivateKeyJWT authentication(URI audience) throws Exception {
            return new PrivateKeyJWT(id, audience, JWSAlgorithm.ES256, key.toECPrivateKey(), key.getKeyID(), null);
        }

        /** A fresh assertion each time: it serves once. */
        HTTPRequest token(URI endpoint, AuthorizationGrant grant) throws Exception {
            return new TokenRequest.Builder(endpoint, authentication(endpoint), grant).build().toHTTPRequest();
        }
    }

    /** A signed request (RFC 9101), pushed (RFC 9126); its reference is what the browser carries. */
    private Begun begin(Signed app) throws Exception {
        Begun plain = begin(request -> {});
        var claims = new JWTClaimsSet.Builder()
                .issuer(app.id.getValue())
                .audience(issuer.getValue())
                .expirationTime(new Date(System.currentTimeMillis() + 60_000));
        AuthenticationRequest.parse(plain.url).toParameters().forEach((name, values) -> claims.claim(name, values.get(0)));
        claims.claim("client_id", app.id.getValue());
        var header = new JWSHeader.Builder(JWSAlgorithm.ES256).keyID(app.key.getKeyID());
        SignedJWT object = new SignedJWT(header.type(new JOSEObjectType("oauth-authz-req+jwt")).build(), claims.build());
        object.sign(new ECDSASigner(app.key));
        URI par = server.getPushedAuthorizationRequestEndpointURI();
        var signed = new AuthorizationRequest.Builder(object, app.id).build();
        var pushed = PushedAuthorizationResponse.parse(
                new PushedAuthorizationRequest(par, app.authentication(par), signed).toHTTPRequest().send());
        demand(pushed.indicatesSuccess(), pushed.toHTTPResponse().getBody());
        URI reference = new AuthorizationRequest.Builder(pushed.toSuccessResponse().getRequestURI(), app.id)
                .endpointURI(server.getAuthorizationEndpointURI())
                .build()
                .toURI();
        return new Begun(reference, plain.state, plain.nonce, plain.verifier);
    }

    private static HTTPResponse proved(HTTPRequest request, DPoPProofFactory proofs, Nonce nonce, AccessToken token)
            throws Exception {
        String method = request.getMethod().name();
        request.setDPoP(token == null
                ? proofs.createDPoPJWT(method, request.getURI(), nonce)
                : proofs.createDPoPJWT(method, request.getURI(), token, nonce));
        return request.send();
    }

    /** Holds a refusal to the specification's code and status. */
    private static void refuses(String code, int status, TokenResponse response) {
        demand(!response.indicatesSuccess(), "it was granted; expected " + code);
        ErrorObject error = response.toErrorResponse().getErrorObject();
        same(code, error.getCode());
        same(status, error.getHTTPStatusCode());
    }

    private IDTokenClaimsSet validated(JWT token, Client client, Nonce nonce) throws Exception {
        var validator =
                new IDTokenValidator(issuer, client.id(), JWSAlgorithm.RS256, server.getJWKSetURI().toURL());
        return validator.validate(token, nonce);
    }

    private UserInfoResponse userInfo(AccessToken token) throws Exception {
        var request = new UserInfoRequest(server.getUserInfoEndpointURI(), token);
        return UserInfoResponse.parse(request.toHTTPRequest().send());
    }

    /**
     * The code with which userinfo refuses a bearer token (RFC 6750 §3.1). The library's response has the first
     * challenge alone, and Java hands it the last one, which is for DPoP (RFC 9449 §7.1), first.
     */
    private String refusal(AccessToken token) throws Exception {
        HTTPResponse response = new UserInfoRequest(server.getUserInfoEndpointURI(), token).toHTTPRequest().send();
        same(401, response.getStatusCode());
        for (String challenge : response.getHeaderValues("WWW-Authenticate")) {
            if (challenge.startsWith("Bearer ")) {
                return BearerTokenError.parse(challenge).getCode();
            }
        }
        throw new AssertionError("no challenge for bearer tokens");
    }

    private TokenIntrospectionSuccessResponse introspected(Token token) throws Exception {
        var request = new TokenIntrospectionRequest(server.getIntrospectionEndpointURI(), secret, token);
        TokenIntrospectionResponse response = TokenIntrospectionResponse.parse(request.toHTTPRequest().send());
        demand(response.indicatesSuccess(), response.toHTTPResponse().getBody());
        return response.toSuccessResponse();
    }

    private void play() throws Exception {
        String sub = story.setting("sub");

        story.step("discovery (OpenID Connect Discovery §4 and RFC 8414 §3)", () -> {
            server = OIDCProviderMetadata.resolve(issuer);
            var other = AuthorizationServerMetadata.resolve(issuer);
            same(server.getTokenEndpointURI(), other.getTokenEndpointURI());
            demand(server.supportsAuthorizationResponseIssuerParam(), "RFC 9207 §3");
            fails(GeneralException.class, "issuer", () -> OIDCProviderMetadata.resolve(new Issuer(issuer + "/")));
        });

        var first = new Object() {
            OIDCTokens tokens;
            RefreshToken refreshed;
        };
        story.step("code flow with PKCE; the ID token's signature, nonce, audience and at_hash", () -> {
            Begun begun = begin(request -> request.maxAge(600));
            first.tokens = signsIn(begun);
            IDTokenClaimsSet claims = validated(first.tokens.getIDToken(), web, begun.nonce);
            same(sub, claims.getSubject().getValue());
            demand(claims.getAuthenticationTime() != null, "auth_time");
            AccessTokenHash hash = claims.getAccessTokenHash();
            AccessTokenValidator.validate(first.tokens.getAccessToken(), JWSAlgorithm.RS256, hash);
            same(600L, first.tokens.getAccessToken().getLifetime());
        });

        story.step("another nonce, another audience and a forged signature are refused by the library", () -> {
            Begun begun = begin();
            JWT token = signsIn(begun).getIDToken();
            fails(BadJOSEException.class, "nonce", () -> validated(token, web, new Nonce()));
            fails(BadJOSEException.class, "audience", () -> validated(token, service, begun.nonce));
            String[] parts = token.serialize().split("\\.");
            String forged = parts[0] + "." + parts[1] + "." + parts[2].substring(4) + parts[2].substring(0, 4);
            fails(BadJOSEException.class, "signature", () -> validated(SignedJWT.parse(forged), web, begun.nonce));
        });

        story.step("userinfo, and invalid_token with a Bearer challenge (RFC 6750 §3.1)", () -> {
            var info = userInfo(first.tokens.getBearerAccessToken()).toSuccessResponse().getUserInfo();
            same(sub, info.getSubject().getValue());
            same(story.setting("email"), info.getEmailAddress());
            same("invalid_token", refusal(new BearerAccessToken("nonsense")));
        });

        story.step("refresh: rotated, with an ID token of the same person", () -> {
            OIDCTokens tokens = tokens(asks(secret, new RefreshTokenGrant(first.tokens.getRefreshToken())));
            demand(!tokens.getRefreshToken().equals(first.tokens.getRefreshToken()), "the same refresh token");
            same(sub, tokens.getIDToken().getJWTClaimsSet().getSubject());
            first.refreshed = tokens.getRefreshToken();
        });

        story.step("introspection; revocation ends the access tokens too (RFC 7009 §2.1)", () -> {
            AccessToken token = first.tokens.getAccessToken();
            same(sub, introspected(token).getSubject().getValue());
            same(web.id(), introspected(token).getClientID());
            var request = new TokenRevocationRequest(server.getRevocationEndpointURI(), secret, first.refreshed);
            same(HTTPResponse.SC_OK, request.toHTTPRequest().send().getStatusCode());
            soon(() -> !introspected(token).isActive());
            refuses("invalid_grant", 400, asks(secret, new RefreshTokenGrant(first.refreshed)));
        });

        story.step("client_credentials, for one resource (RFC 8707 §2)", () -> {
            var authentication = new ClientSecretBasic(service.id(), service.secret());
            var granted = send(new TokenRequest.Builder(
                            server.getTokenEndpointURI(), authentication, new ClientCredentialsGrant())
                    .scope(new Scope("referral-codes:read"))
                    .resource(URI.create(api)));
            AccessToken token = tokens(granted).getAccessToken();
            same(new Scope("referral-codes:read"), token.getScope());
            same(api, SignedJWT.parse(token.getValue()).getJWTClaimsSet().getAudience().get(0));
            demand(tokens(granted).getRefreshToken() == null, "a refresh token");
            refuses("invalid_target", 400, send(new TokenRequest.Builder(
                            server.getTokenEndpointURI(), authentication, new ClientCredentialsGrant())
                    .resource(URI.create("https://elsewhere.example"))));
            refuses("invalid_scope", 400, send(new TokenRequest.Builder(
                            server.getTokenEndpointURI(), authentication, new ClientCredentialsGrant())
                    .scope(new Scope("account:write"))));
            refuses("unauthorized_client", 400, asks(secret, new ClientCredentialsGrant()));
        });

        story.step("client_secret_post; a wrong secret either way: invalid_client (RFC 6749 §5.2)", () -> {
            Client post = story.client("post");
            refuses("unauthorized_client", 400, asks(
                    new ClientSecretPost(post.id(), post.secret()), new ClientCredentialsGrant()));
            Secret wrong = new Secret("wrong");
            refuses("invalid_client", 401, asks(new ClientSecretPost(post.id(), wrong), new ClientCredentialsGrant()));
            refuses("invalid_client", 401, asks(
                    new ClientSecretBasic(service.id(), wrong), new ClientCredentialsGrant()));
        });

        story.step("private_key_jwt; a signed request, pushed; DPoP with the server's nonces", () -> {
            ECKey key = new ECKeyGenerator(Curve.P_256).keyID("mine").generate();
            ClientID id = new ClientID((String) story.ask(Map.of("ask", "register", "metadata", Map.of(
                            "redirect_uris", List.of(web.redirect().toString()),
                            "grant_types", List.of("authorization_code", "refresh_token"),
                            "token_endpoint_auth_method", "private_key_jwt",
                            "require_signed_request_object", true,
                            "require_pushed_authorization_requests", true,
                            "jwks", new JWKSet(key.toPublicJWK()).toJSONObject())))
                    .get("client_id"));
            Signed app = new Signed(id, key);

            Begun begun = begin(app);
            AuthorizationCode code = code(begun);
            var grant = new AuthorizationCodeGrant(code, web.redirect(), begun.verifier);
            var proofs = new DefaultDPoPProofFactory(key(), JWSAlgorithm.ES256);
            // Without its nonce the server refuses a proof, and says which it wants (RFC 9449 §8).
            HTTPResponse asked = proved(app.token(server.getTokenEndpointURI(), grant), proofs, null, null);
            refuses("use_dpop_nonce", 400, TokenResponse.parse(asked));
            Nonce nonce = asked.getDPoPNonce();
            OIDCTokens tokens = tokens(OIDCTokenResponseParser.parse(
                    proved(app.token(server.getTokenEndpointURI(), grant), proofs, nonce, null)));
            AccessToken token = tokens.getDPoPAccessToken();
            var client = new Client(id, null, web.redirect());
            same(sub, validated(tokens.getIDToken(), client, begun.nonce).getSubject().getValue());

            HTTPRequest userInfo = new UserInfoRequest(server.getUserInfoEndpointURI(), token).toHTTPRequest();
            HTTPResponse answer = proved(userInfo, proofs, nonce, token);
            same(sub, UserInfoResponse.parse(answer).toSuccessResponse().getUserInfo().getSubject().getValue());
            // Another key's proof is of no use with it (§7.1).
            var thief = new DefaultDPoPProofFactory(key(), JWSAlgorithm.ES256);
            userInfo = new UserInfoRequest(server.getUserInfoEndpointURI(), token).toHTTPRequest();
            same(401, proved(userInfo, thief, nonce, token).getStatusCode());
        });

        story.step("a wrong redirect URI: a page, and no redirect (RFC 6749 §4.1.2.1)", () -> {
            Begun begun = begin(request -> request.redirectionURI(URI.create("https://evil.example/callback")));
            var page = (Map<?, ?>) story.opens(begun.url, "ann", "allow").get("page");
            demand(page != null && ((Number) page.get("status")).intValue() == 400, page);
        });

        story.step("denied: access_denied; nobody there: login_required; an unknown scope: invalid_scope", () -> {
            record Refusal(Begun begun, String browser, String decision, String code) {}
            for (Refusal refusal : new Refusal[] {
                new Refusal(begin(request -> request.prompt(Prompt.Type.CONSENT)), "ann", "deny", "access_denied"),
                new Refusal(begin(request -> request.prompt(Prompt.Type.NONE)), "nobody", "allow", "login_required"),
                new Refusal(begin(request -> request.scope(new Scope("openid", "dragons"))), "ann", "allow", "invalid_scope"),
            }) {
                AuthenticationResponse response = response(refusal.begun, refusal.browser, refusal.decision);
                demand(!response.indicatesSuccess(), response);
                same(refusal.code, response.toErrorResponse().getErrorObject().getCode());
            }
        });

        story.step("a code replayed, or redeemed with another verifier, redirect URI or client: invalid_grant", () -> {
            AuthorizationCodeGrant grant = grant(begin());
            AccessToken token = tokens(asks(secret, grant)).getAccessToken();
            refuses("invalid_grant", 400, asks(secret, grant));
            soon(() -> !introspected(token).isActive());
            Begun begun = begin();
            refuses("invalid_grant", 400, asks(
                    secret, new AuthorizationCodeGrant(code(begun), web.redirect(), new CodeVerifier())));
            begun = begin();
            URI elsewhere = URI.create("http://127.0.0.1:1/elsewhere");
            refuses("invalid_grant", 400, asks(secret, new AuthorizationCodeGrant(code(begun), elsewhere, begun.verifier)));
            Client post = story.client("post");
            refuses("invalid_grant", 400, asks(new ClientSecretPost(post.id(), post.secret()), grant(begin())));
        });

        story.step("an expired code: invalid_grant; an expired token: inactive, and invalid_token", () -> {
            OIDCTokens tokens = signsIn(begin());
            AuthorizationCodeGrant late = grant(begin());
            story.ask(Map.of("ask", "pass", "seconds", 61));
            refuses("invalid_grant", 400, asks(secret, late));
            story.ask(Map.of("ask", "pass", "seconds", 600));
            demand(!introspected(tokens.getAccessToken()).isActive(), "still active");
            same("invalid_token", refusal(tokens.getBearerAccessToken()));
        });

        story.step("other keys sign: the library, which has the old ones, fetches them (OpenID Connect Core §10.1.1)", () -> {
            var validator =
                    new IDTokenValidator(issuer, web.id(), JWSAlgorithm.RS256, server.getJWKSetURI().toURL());
            // This machine's clock can't be moved; the app allows for the server's.
            validator.setMaxClockSkew(661);
            Begun before = begin();
            validator.validate(signsIn(before).getIDToken(), before.nonce);
            Number moved = (Number) story.ask(Map.of("ask", "rotate")).get("seconds");
            validator.setMaxClockSkew(661 + moved.intValue());
            Begun after = begin();
            same(sub, validator.validate(signsIn(after).getIDToken(), after.nonce).getSubject().getValue());
        });

        story.end();
    }
}
