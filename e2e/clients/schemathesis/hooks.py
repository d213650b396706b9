"""Who asks: a person with every scope, clients with their secrets, and what becomes of requests that would end them."""

import atexit
import base64
import collections
import datetime
import itertools
import json
import os
import urllib.error
import urllib.parse
import urllib.request

import schemathesis

with open(os.environ["STORY_SETTINGS"], encoding="utf-8") as file:
    settings = json.load(file)

numbers = itertools.count()


def post(url, body, content_type, headers=None):
    request = urllib.request.Request(url, body.encode(), {"content-type": content_type, **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{url}: {error.status} {error.read()}") from error


def sign_in(email):
    form = {"grant_type": "password", "client_id": "cli", "username": email, "password": settings["password"]}
    answer = post(settings["issuer"] + "/oauth/token", urllib.parse.urlencode(form), "application/x-www-form-urlencoded")
    return answer["access_token"]


def somebody_new():
    email = f"made-up-{next(numbers)}@example.com"
    body = json.dumps({"email": email, "password": settings["password"]})
    post(settings["issuer"] + "/api/v1/signup", body, "application/json")
    return sign_in(email)


def register():
    """A client that registered itself: its id, and the token it manages its registration with."""
    body = json.dumps({"client_name": "Made up", "redirect_uris": ["https://app.example/callback"]})
    authorization = {"authorization": "Bearer " + settings["initial_access_token"]}
    answer = post(settings["issuer"] + "/oauth/register", body, "application/json", authorization)
    return answer["client_id"], answer["registration_access_token"]


def basic(client):
    pair = ":".join(urllib.parse.quote_plus(client[part]) for part in ("client_id", "client_secret"))
    return "Basic " + base64.b64encode(pair.encode()).decode()


def token_of(name, scope):
    """A client that speaks for itself."""
    form = urllib.parse.urlencode({"grant_type": "client_credentials", "scope": scope})
    authorization = {"authorization": basic(settings["clients"][name])}
    answer = post(settings["issuer"] + "/oauth/token", form, "application/x-www-form-urlencoded", authorization)
    return answer["access_token"]


class Bearer:
    """The header with what `get` gives."""

    def set(self, case, data, context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = data


if settings["document"] == "api":

    @schemathesis.auth().apply_to(path="/v1/invitations", method="POST")
    class Service(Bearer):
        """A person would have to confirm their address first."""

        def get(self, case, context):
            return "Bearer " + token_of("service", "referral-codes:read")

    @schemathesis.auth().apply_to(path_regex="^/v1/(referrals|webhook-endpoints)(/|$)")
    class Manager(Bearer):
        def get(self, case, context):
            return "Bearer " + token_of("manager", "referrals:manage webhooks:manage")

    @schemathesis.auth().apply_to(path_regex="^/v1/(referral-codes|referrers)(/|$)")
    class Person(Bearer):
        def get(self, case, context):
            return "Bearer " + sign_in(settings["email"])

    @schemathesis.auth().apply_to(path_regex="^/v1/invitations(/|$)", method_regex="(?i)get|delete")
    class Referrer(Bearer):
        def get(self, case, context):
            return "Bearer " + sign_in(settings["email"])

else:

    @schemathesis.auth().apply_to(path_regex="^/(api/v1/me|oauth/userinfo)$", method_regex="(?i)get|post|patch")
    class SamePerson(Bearer):
        def get(self, case, context):
            return "Bearer " + sign_in(settings["email"])

    @schemathesis.auth(refresh_interval=None).apply_to(path="/api/v1/me", method="DELETE")
    class NewPerson(Bearer):
        """Whoever ends their account is nobody by the next request."""

        def get(self, case, context):
            return "Bearer " + somebody_new()

    @schemathesis.auth().apply_to(
        path_regex="^/oauth/(token|par|introspect|revoke|device_authorization)$"
    )
    class Client(Bearer):
        def get(self, case, context):
            return basic(settings["clients"]["web"])

    @schemathesis.auth().apply_to(path="/oauth/register")
    class Registrar(Bearer):
        def get(self, case, context):
            return "Bearer " + settings["initial_access_token"]

    @schemathesis.auth(refresh_interval=None).apply_to(path="/oauth/register/{client_id}")
    class Registered:
        def get(self, case, context):
            return register()

        def set(self, case, data, context):
            client_id, token = data
            case.path_parameters = {"client_id": client_id}
            case.headers = case.headers or {}
            case.headers["Authorization"] = "Bearer " + token

tomorrow = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)).isoformat()
kept = {}


def ours():
    """The header of somebody whom no request ends."""
    kept["token"] = kept.get("token") or sign_in(settings["email"])
    return {"authorization": "Bearer " + kept["token"]}


def own_codes():
    request = urllib.request.Request(settings["api"] + "/v1/referral-codes?limit=1", headers=ours())
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["items"]


def own_code():
    codes = own_codes()
    if not codes or codes[0]["status"] != "active":
        body = json.dumps({"expires_at": tomorrow})
        codes = [post(settings["api"] + "/v1/referral-codes", body, "application/json", ours())]
    return codes[0]["code"]


def with_a_code(case):
    case.path_parameters = {"code": own_code()}


def with_a_date(case):
    """And without the code that would be in the way."""
    codes = own_codes()
    if codes and codes[0]["status"] == "active":
        url = settings["api"] + "/v1/referral-codes/" + codes[0]["code"]
        urllib.request.urlopen(urllib.request.Request(url, headers=ours(), method="DELETE"), timeout=30).close()
    case.body = {"expires_at": tomorrow}
    case.headers.pop("Idempotency-Key", None)


def rotates(case):
    with_a_code(case)
    case.body = {"expires_at": tomorrow}
    case.headers.pop("Idempotency-Key", None)


def manages(path, body=None, method=None):
    """Asks as who runs the programme."""
    kept["manager"] = kept.get("manager") or token_of("manager", "referrals:manage webhooks:manage")
    headers = {"authorization": "Bearer " + kept["manager"], "content-type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(settings["api"] + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"null")


def with_a_referral(case):
    """Of somebody who has just come by the person's code."""
    email = f"invited-{next(numbers)}@example.com"
    body = json.dumps({"email": email, "password": settings["password"], "referral_code": own_code()})
    account = post(settings["issuer"] + "/api/v1/signup", body, "application/json")
    found = manages("/v1/referrals?referral_user_id=" + account["id"])
    case.path_parameters = {"id": found["items"][0]["id"]}


def rejects(case):
    with_a_referral(case)
    case.body = {"reason": "made up"}
    case.headers.pop("Idempotency-Key", None)


def new_endpoint():
    return {"url": f"https://hooks-{next(numbers)}.example.com/referrals", "events": ["*"]}


def makes_an_endpoint(case):
    """And room for it."""
    for endpoint in manages("/v1/webhook-endpoints?limit=100")["items"]:
        manages("/v1/webhook-endpoints/" + endpoint["id"], method="DELETE")
    case.body = new_endpoint()
    case.headers.pop("Idempotency-Key", None)


def with_an_endpoint(case):
    there = manages("/v1/webhook-endpoints?limit=1")["items"] or [manages("/v1/webhook-endpoints", new_endpoint())]
    case.path_parameters = {"id": there[0]["id"]}
    case.headers.pop("Idempotency-Key", None)


def changes_an_endpoint(case):
    with_an_endpoint(case)
    case.body = {"description": "Made up"}


def replays(case):
    with_an_endpoint(case)
    case.body = {"since": "2020-01-01T00:00:00Z"}


def authorization_request():
    client = settings["clients"]["web"]
    return {
        "response_type": "code",
        "client_id": client["client_id"],
        "redirect_uri": client["redirect_uri"],
        "scope": "openid",
        "state": str(next(numbers)),
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }


def asks(case):
    if case.method.upper() == "GET":
        case.query = authorization_request()
    else:
        case.body = authorization_request()
    case.headers.pop("DPoP", None)


def names_a_token(case):
    case.body = {"token": f"nobody-{next(numbers)}"}


def signs_up(case):
    case.body = {"email": f"signed-up-{next(numbers)}@example.com", "password": settings["password"]}
    case.headers.pop("Idempotency-Key", None)


def updates(case):
    metadata = {"client_name": "Made up again", "redirect_uris": ["https://app.example/callback"]}
    case.body = metadata | {"client_id": case.path_parameters["client_id"]}


# What no schema could tell, for every other well-formed request: what is there, or was asked for a moment ago.
PREPARED = {
    "GET /v1/referral-codes/{code}": with_a_code,
    "DELETE /v1/referral-codes/{code}": with_a_code,
    "POST /v1/referral-codes": with_a_date,
    "GET /v1/referral-codes/{code}/stats": with_a_code,
    "GET /v1/referral-codes/{code}/qr.svg": with_a_code,
    "POST /v1/referral-codes/{code}/rotate": rotates,
    "GET /v1/referrals/{id}": with_a_referral,
    "POST /v1/referrals/{id}/reject": rejects,
    "POST /v1/webhook-endpoints": makes_an_endpoint,
    "GET /v1/webhook-endpoints/{id}": with_an_endpoint,
    "PATCH /v1/webhook-endpoints/{id}": changes_an_endpoint,
    "DELETE /v1/webhook-endpoints/{id}": with_an_endpoint,
    "POST /v1/webhook-endpoints/{id}/rotate-secret": with_an_endpoint,
    "POST /v1/webhook-endpoints/{id}/test": with_an_endpoint,
    "POST /v1/webhook-endpoints/{id}/replay": replays,
    "GET /v1/webhook-endpoints/{id}/deliveries": with_an_endpoint,
    "GET /oauth/authorize": asks,
    "POST /oauth/authorize": asks,
    "POST /oauth/par": asks,
    "POST /oauth/revoke": names_a_token,
    "POST /oauth/introspect": names_a_token,
    "POST /api/v1/signup": signs_up,
    "PUT /oauth/register/{client_id}": updates,
}


@schemathesis.hook
def before_call(context, case, **kwargs):
    prepare = PREPARED.get(f"{case.method.upper()} {case.operation.path}")
    if prepare and case.meta and case.meta.generation.mode.is_positive and next(numbers) % 2:
        case.headers = {} if case.headers is None else case.headers
        prepare(case)


# How often each operation was answered with each status: run.py wants every one of them to have been answered well.
answers = collections.Counter()


@schemathesis.hook
def after_call(context, case, response):
    answers[f"{case.method.upper()} {case.operation.path} {response.status_code}"] += 1


@atexit.register
def tell():
    with open(os.environ["STORY_SETTINGS"] + ".answers", "w", encoding="utf-8") as file:
        json.dump(answers, file)
