"""The official OpenAI package for Python."""

import json

import openai
from checks import HELLO, MODELS, SCRIPT, TOOL, WORLD, refusal, refusals, run, summed, usage_of_chat
from pydantic import BaseModel


def client_with(key=WORLD["key"]):
    return openai.OpenAI(api_key=key, base_url=f"{WORLD['url']}/v1", max_retries=1)


client = client_with()


class City(BaseModel):
    city: str
    size: int


def chat():
    answer = client.chat.completions.create(model=MODELS["plain"], messages=HELLO, max_tokens=12)
    return {"usage": usage_of_chat(answer.usage), "requestId": answer._request_id}


def stream():
    with client.chat.completions.stream(model=MODELS["talker"], messages=HELLO) as events:
        for _ in events:
            pass
        answer = events.get_final_completion()
    assert answer.choices[0].message.content == SCRIPT["text"]
    return {"usage": usage_of_chat(answer.usage), "requests": 1}


def reasoning():
    answer = client.chat.completions.create(model=MODELS["talker"], messages=HELLO)
    assert answer.choices[0].message.reasoning_content == SCRIPT["reasoning"]
    return {"usage": usage_of_chat(answer.usage), "requestId": answer._request_id}


def tools():
    asked = {"model": MODELS["caller"], "tools": [{"type": "function", "function": TOOL}]}
    first = client.chat.completions.create(messages=HELLO, **asked)
    message = first.choices[0].message
    call = message.tool_calls[0]
    assert call.function.name == TOOL["name"] and json.loads(call.function.arguments) == {"city": "hello"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "hello: sunny"}
    second = client.chat.completions.create(messages=[*HELLO, message, result], **asked)
    assert second.choices[0].message.content == f"{SCRIPT['resultPrefix']}hello: sunny"
    return {"usage": summed(usage_of_chat(first.usage), usage_of_chat(second.usage)), "requests": 2}


def structured():
    answer = client.chat.completions.parse(model=MODELS["talker"], messages=HELLO, response_format=City)
    assert answer.choices[0].message.parsed == City(city="hello", size=1)
    return {"usage": usage_of_chat(answer.usage)}


def completions():
    answer = client.completions.create(model=MODELS["plain"], prompt="Once", max_tokens=8)
    assert answer.object == "text_completion"
    return {"usage": {"input": answer.usage.prompt_tokens, "output": answer.usage.completion_tokens}}


def embeddings():
    answer = client.embeddings.create(model=MODELS["embedder"], input=["one", "three"])
    assert len(answer.data[1].embedding) == SCRIPT["dimensions"]
    return {"usage": {"input": answer.usage.prompt_tokens, "output": 0}}


def responses():
    with client.responses.stream(model=MODELS["talker"], input="Hello") as events:
        for _ in events:
            pass
        answer = events.get_final_response()
    assert answer.output_text == SCRIPT["text"]
    usage = answer.usage
    return {
        "usage": {
            "input": usage.input_tokens,
            "cached": usage.input_tokens_details.cached_tokens,
            "output": usage.output_tokens,
            "reasoning": usage.output_tokens_details.reasoning_tokens,
        }
    }


def models():
    assert MODELS["talker"] in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODELS["talker"]).id == MODELS["talker"]


def ask(key=WORLD["key"], model=MODELS["talker"], text="Hello"):
    return client_with(key).chat.completions.create(model=model, messages=[{"role": "user", "content": text}])


CLASSES = {
    401: openai.AuthenticationError,
    402: openai.APIStatusError,
    404: openai.NotFoundError,
    413: openai.APIStatusError,
    429: openai.RateLimitError,
    503: openai.InternalServerError,
}


def is_error(error, status):
    assert isinstance(error, CLASSES[status]), repr(error)
    assert error.status_code == status and error.request_id
    assert status != 404 or error.code == "model_not_found"


def cut():
    texts = []

    def read():
        for chunk in client.chat.completions.create(model=MODELS["dies"], messages=HELLO, stream=True):
            texts.append(chunk.choices[0].delta.content or "" if chunk.choices else "")

    error = refusal(read)
    assert "".join(texts).startswith("half "), texts
    assert isinstance(error, openai.APIError), repr(error)
    return {"requests": 1, "detail": type(error).__name__}


def cancel():
    with client.chat.completions.create(model=MODELS["endless"], messages=HELLO, stream=True) as events:
        for _, _chunk in zip(range(6), events):
            pass
    return {"requests": 1, "cancelled": True}


run(
    {
        "chat": chat,
        "stream": stream,
        "reasoning": reasoning,
        "tools": tools,
        "structured": structured,
        "completions": completions,
        "embeddings": embeddings,
        "responses": responses,
        "models": models,
        **refusals(ask, is_error, repeats=1),
        "cut": cut,
        "cancel": cancel,
    }
)
