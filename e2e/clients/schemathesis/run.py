"""Runs schemathesis on one of the OpenAPI documents, as schemathesis.toml says."""

import json
import os
import pathlib
import subprocess
import sys
from urllib.request import ProxyHandler, Request, build_opener

document, settings_path = sys.argv[1:]
settings = json.loads(pathlib.Path(settings_path).read_text(encoding="utf-8"))
here = pathlib.Path(__file__).parent


def ask(**question):
    """Asks the driver."""
    request = Request(settings["driver"], json.dumps(question).encode(), {"content-type": "application/json"})
    with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
        return json.load(answer)


settings["document"] = document
settings["initial_access_token"] = ask(ask="permit", name="schemathesis", uses=100_000)["initial_access_token"]
own = pathlib.Path(settings_path).with_name("schemathesis.json")
own.write_text(json.dumps(settings), encoding="utf-8")

command = [str(pathlib.Path(sys.executable).with_name("schemathesis"))]
command += ["--config-file", str(here / "schemathesis.toml"), "run", settings[document] + "/openapi.json"]
# A folder of the story's own for whatever it leaves behind.
environment = os.environ | {"STORY_SETTINGS": str(own), "PYTHONPATH": str(here), "NO_COLOR": "1", "COLUMNS": "160"}
done = subprocess.run(command, cwd=own.parent, env=environment, stdin=subprocess.DEVNULL, check=False)
# Whoever is refused everywhere has found nothing out.
answers = json.loads(own.with_name(own.name + ".answers").read_text(encoding="utf-8"))
served = {}
for line, count in answers.items():
    operation, status = line.rsplit(" ", 1)
    served.setdefault(operation, {})[int(status)] = count
for operation, statuses in sorted(served.items()):
    print(operation, statuses)
if done.returncode != 0:
    sys.exit(done.returncode)
# What a grant, a code or a page before would have to be there for.
elsewhere = {"POST /oauth/token", "POST /oauth/device_authorization"}
# What a confirmed address, a signal, a reward or a mail would have to be there for; stories of their own have them.
elsewhere |= {f"POST /v1/referrals/{{id}}/{step}" for step in ("qualify", "reward", "reverse", "clear")}
elsewhere |= {"GET /v1/invitations/{id}", "DELETE /v1/invitations/{id}"}
elsewhere |= {"POST /v1/webhook-endpoints/{id}/deliveries/{message_id}/replay"}
with build_opener().open(settings[document] + "/openapi.json", timeout=30) as answer:
    paths = json.load(answer)["paths"]
described = {f"{method.upper()} {path}" for path, item in paths.items() for method in item if method != "parameters"}
refused = [name for name in sorted(described - elsewhere) if min(served.get(name, {999: 1})) >= 400]
if refused:
    sys.exit(f"never answered well: {refused}")
print(f"the end, after {sum(answers.values())} steps")
