"""What a client's script in Python needs; the counterpart of lib/checks.mjs, which says what the lines mean."""

import json
import os
import sys
import time

WORLD = json.loads(os.environ["HEADRACE_WORLD"])
SCRIPT = json.loads(os.environ["HEADRACE_SCRIPT"])
MODELS = WORLD["models"]
HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {
    "name": "weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}

_GAP_S = 0.003
_DETAIL_CHARS_MAX = 1500


def run(checks):
    """Runs functions by feature, one after another, a line each. Each answers a dict for its line, or nothing."""
    _say({"plan": list(checks)})
    for feature, check in checks.items():
        time.sleep(_GAP_S)
        began = _now()
        try:
            outcome = {"ok": True, **(check() or {})}
        except Exception as error:  # noqa: BLE001 - whatever a client throws is the result of its check
            outcome = {"ok": False, "detail": f"{type(error).__name__}: {error}"[:_DETAIL_CHARS_MAX]}
        _say({"feature": feature, **outcome, "beganMs": began, "endedMs": _now()})


def refusal(work):
    """Gives back what a call is refused with; fails when it is not refused."""
    try:
        answer = work()
    except Exception as error:  # noqa: BLE001
        return error
    raise AssertionError(f"no error, but {answer!r}"[:200])


def refusals(ask, is_error, repeats):
    """The checks of refusals; `ask` takes key, model and text, `is_error` asserts what the error of a status is."""
    again = 1 + repeats
    cases = {
        401: ({"key": WORLD["wrongKey"]}, 1),
        402: ({"key": WORLD["brokeKey"]}, 1),
        404: ({"model": MODELS["missing"]}, 1),
        413: ({"text": "long " * int(WORLD["bodyBytesMax"] * 1.2 / 5)}, None),
        429: ({"model": MODELS["overloaded"]}, again),
        503: ({"model": MODELS["down"]}, again),
    }

    def check(status, options, requests):
        error = refusal(lambda: ask(**options))
        is_error(error, status)
        line = {"detail": type(error).__name__}
        return line if requests is None else {**line, "requests": requests}

    return {
        str(status): lambda status=status, options=options, requests=requests: check(status, options, requests)
        for status, (options, requests) in cases.items()
    }


def usage_of_chat(usage):
    """The counts of OpenAI's usage object."""
    return {
        "input": usage.prompt_tokens,
        "cached": usage.prompt_tokens_details.cached_tokens,
        "output": usage.completion_tokens,
        "reasoning": usage.completion_tokens_details.reasoning_tokens,
    }


def summed(first, second):
    """The counts of two requests together."""
    return {name: first[name] + second[name] for name in first}


def _now():
    return int(time.time() * 1000)


def _say(line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
