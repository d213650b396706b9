"""What the scripts share: the settings that the driver wrote, the person at the browser, and steps that tell a story."""

import json
import sys
import time
import traceback
from urllib.request import ProxyHandler, Request, build_opener

with open(sys.argv[1], encoding="utf-8") as file:
    settings = json.load(file)

steps = 0


def step(name):
    """Does one thing at once and prints its name: the output reads as a story, and the driver wants its last line."""

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


def end():
    """The last line: without it a script that ended early would pass."""
    print(f"the end, after {steps} steps")


def ask(**question):
    """Asks the driver, over its own connection that no library sees."""
    request = Request(settings["driver"], json.dumps(question).encode(), {"content-type": "application/json"})
    with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
        return json.load(answer)


def opens(url, browser="ann", decision="allow"):
    """Ann opens an authorization URL in a browser (by name, with its cookies): where she ends."""
    return ask(ask="authorize", url=url, browser=browser, decision=decision)


def is_led_to(url, **options):
    """The same, where she must end at the app."""
    end = opens(url, **options)
    assert "callback" in end, f"a page instead of the app: {end}"
    return end["callback"]


def fails(kind, **expected):
    """Holds what happens within to an error of the library and to its attributes."""
    return Fails(kind, expected)


class Fails:
    def __init__(self, kind, expected):
        self.kind, self.expected = kind, expected

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        assert error is not None, f"nothing was raised; expected {self.kind.__name__} {self.expected}"
        if not isinstance(error, self.kind):
            return False
        for name, value in self.expected.items():
            assert getattr(error, name) == value, f"{name} is {getattr(error, name)!r}, not {value!r}: {error!r}"
        return True


def soon(holds):
    """Until a revocation has reached every instance (one second at most)."""
    for _ in range(50):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen within five seconds")
