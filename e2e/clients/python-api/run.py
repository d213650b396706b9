"""Makes a client from the OpenAPI document that the API serves, with openapi-python-client, and uses it on the API."""

import datetime
import json
import pathlib
import ssl
import subprocess
import sys
import traceback
import urllib.parse
import urllib.request

settings_path = pathlib.Path(sys.argv[1])
settings = json.loads(settings_path.read_text(encoding="utf-8"))
here = pathlib.Path(__file__).parent
steps = 0


def step(name):
    """Does one thing at once and prints its name; the driver wants the last line."""

    def run(what):
        global steps
        try:
            result = what()
        except BaseException:
            print("FAILED ", name, flush=True)
            traceback.print_exc()
            sys.exit(1)
        steps += 1
        print("ok ", name, flush=True)
        return result

    return run


def fetch(url, form=None):
    body = urllib.parse.urlencode(form).encode() if form else None
    with urllib.request.urlopen(url, body, timeout=30) as answer:
        return json.load(answer)


@step("a client is made from the served document, without a warning")
def made():
    # A folder of the story's own: stories run side by side.
    document = settings_path.parent / "openapi.json"
    document.write_text(json.dumps(fetch(settings["api"] + "/openapi.json")), encoding="utf-8")
    folder = settings_path.parent / "python-client"
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", str(document)]
    command += ["--config", str(here / "config.yml"), "--meta", "none", "--output-path", str(folder / "referral_client")]
    folder.mkdir()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    # What it can't read it leaves out, and says so.
    assert "WARNING" not in told.upper(), told
    sys.path.insert(0, str(folder))


from referral_client import AuthenticatedClient, Client  # noqa: E402
from referral_client.api.referral_codes import (  # noqa: E402
    create_referral_code,
    delete_referral_code,
    get_referral_code,
    list_referral_codes,
    look_up_referral_code,
)
from referral_client.api.referrals import list_referrals  # noqa: E402
from referral_client.models import Code, CodeStatus, FoundCode, ListReferralsStatus, NewCode, Problem  # noqa: E402
from referral_client.types import UNSET  # noqa: E402


@step("an access token is had")
def token():
    form = {"grant_type": "password", "client_id": "cli"}
    form |= {"username": settings["email"], "password": settings["password"]}
    return fetch(settings["issuer"] + "/oauth/token", form)["access_token"]


trusted = ssl.create_default_context(cafile=settings["authority"])
api = AuthenticatedClient(base_url=settings["api"], token=token, verify_ssl=trusted)
anon = Client(base_url=settings["api"], verify_ssl=trusted)
tomorrow = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)


def problem(answer, kind):
    assert isinstance(answer.parsed, Problem), answer
    assert answer.parsed.type_ == "urn:referris:problem:" + kind, answer.parsed
    assert answer.parsed.status == answer.status_code, answer
    return answer.parsed


@step("a code is created")
def code():
    new = NewCode(expires_at=tomorrow, max_uses=5)
    answer = create_referral_code.sync_detailed(client=api, body=new, idempotency_key="python-1")
    assert answer.status_code == 201 and isinstance(answer.parsed, Code), answer
    assert answer.parsed.status == CodeStatus.ACTIVE and answer.parsed.max_uses == 5
    assert abs(answer.parsed.expires_at - tomorrow) < datetime.timedelta(milliseconds=1)
    return answer.parsed


@step("it is read, and not sent again to who has it")
def _():
    answer = get_referral_code.sync_detailed(code.code, client=api)
    assert answer.parsed == code, answer
    again = get_referral_code.sync_detailed(code.code, client=api, if_none_match=answer.headers["etag"])
    assert again.status_code == 304, again


@step("it is in the list")
def _():
    page = list_referral_codes.sync(client=api, limit=10)
    assert [listed.code for listed in page.items] == [code.code] and page.next_cursor in (None, UNSET), page


@step("it is looked up by email address")
def _():
    found = look_up_referral_code.sync(client=api, email=settings["email"])
    assert isinstance(found, FoundCode) and found.code == code.code, found
    assert found.share_url.startswith(settings["issuer"])


@step("the referrals are listed")
def _():
    page = list_referrals.sync("me", client=api, status=ListReferralsStatus.VERIFIED)
    assert page.items == [], page


@step("what is wrong is a problem with a type")
def _():
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    invalid = problem(create_referral_code.sync_detailed(client=api, body=NewCode(expires_at=past)), "validation")
    assert [fault.pointer for fault in invalid.errors] == ["#/expires_at"], invalid
    problem(create_referral_code.sync_detailed(client=api, body=NewCode(expires_at=tomorrow)), "code-active")
    problem(list_referral_codes.sync_detailed(client=anon), "unauthorized")


@step("it is deleted, and is gone for whoever looks it up")
def _():
    assert delete_referral_code.sync_detailed(code.code, client=api).status_code == 204
    problem(look_up_referral_code.sync_detailed(client=api, email=settings["email"]), "not-found")
    problem(delete_referral_code.sync_detailed(code.code, client=api), "not-found")
    assert get_referral_code.sync(code.code, client=api).status == CodeStatus.DELETED


print(f"the end, after {steps} steps")
