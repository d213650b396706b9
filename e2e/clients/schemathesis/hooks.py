"""Who asks: a person with every scope, clients with their secrets, and what becomes of requests that would end them."""

import base64
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


class Bearer:
    """The header with what `get` gives."""

    def set(self, case, data, context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = data


if settings["document"] == "api":

    @schemathesis.auth()
    class Person(Bearer):
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
