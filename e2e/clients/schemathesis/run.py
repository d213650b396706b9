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
if done.returncode == 0:
    print("the end, after 1 step")
sys.exit(done.returncode)
