"""The official Anthropic package for Python."""

import anthropic
from checks import HELLO, MODELS, SCRIPT, TOOL, WORLD, refusal, refusals, run, summed


def client_with(key=WORLD["key"]):
    return anthropic.Anthropic(api_key=key, base_url=WORLD["url"], max_retries=1)


client = client_with()
WEATHER = {"name": TOOL["name"], "description": TOOL["description"], "input_schema": TOOL["parameters"]}


def usage_of(usage):
    cached = usage.cache_read_input_tokens or 0
    written = usage.cache_creation_input_tokens or 0
    return {"input": usage.input_tokens + cached + written, "cached": cached, "output": usage.output_tokens}


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def chat():
    message = client.messages.create(model=MODELS["plain"], max_tokens=12, messages=HELLO)
    return {"usage": usage_of(message.usage), "requestId": message._request_id}


def stream():
    with client.messages.stream(model=MODELS["talker"], max_tokens=100, messages=HELLO) as events:
        message = events.get_final_message()
    assert text_of(message) == SCRIPT["text"]
    return {"usage": usage_of(message.usage), "requests": 1}


def reasoning():
    message = client.messages.create(model=MODELS["talker"], max_tokens=100, messages=HELLO)
    assert message.content[0].thinking == SCRIPT["reasoning"]
    return {"usage": usage_of(message.usage)}


def tools():
    asked = {"model": MODELS["caller"], "max_tokens": 100, "tools": [WEATHER]}
    first = client.messages.create(messages=HELLO, **asked)
    call = next(block for block in first.content if block.type == "tool_use")
    assert call.name == TOOL["name"] and call.input == {"city": "hello"}
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "hello: sunny"}
    history = [*HELLO, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = client.messages.create(messages=history, **asked)
    assert text_of(second) == f"{SCRIPT['resultPrefix']}hello: sunny"
    return {"usage": summed(usage_of(first.usage), usage_of(second.usage)), "requests": 2}


def count_tokens():
    assert client.messages.count_tokens(model=MODELS["plain"], messages=HELLO).input_tokens > 0


def models():
    assert MODELS["talker"] in [model.id for model in client.models.list()]


def ask(key=WORLD["key"], model=MODELS["talker"], text="Hello"):
    messages = [{"role": "user", "content": text}]
    return client_with(key).messages.create(model=model, max_tokens=100, messages=messages)


CLASSES = {
    401: anthropic.AuthenticationError,
    402: anthropic.APIStatusError,
    404: anthropic.NotFoundError,
    413: anthropic.APIStatusError,
    429: anthropic.RateLimitError,
    503: anthropic.InternalServerError,
}


def is_error(error, status):
    assert isinstance(error, CLASSES[status]), repr(error)
    assert error.request_id and error.body["type"] == "error"
    assert status != 404 or MODELS["missing"] in str(error)


def cut():
    texts = []

    def read():
        with client.messages.stream(model=MODELS["dies"], max_tokens=100, messages=HELLO) as events:
            for text in events.text_stream:
                texts.append(text)

    error = refusal(read)
    assert "".join(texts).startswith("half "), texts
    assert isinstance(error, anthropic.APIError), repr(error)
    return {"requests": 1, "detail": type(error).__name__}


run(
    {
        "chat": chat,
        "stream": stream,
        "reasoning": reasoning,
        "tools": tools,
        "count tokens": count_tokens,
        "models": models,
        **refusals(ask, is_error, repeats=1),
        "cut": cut,
    }
)
