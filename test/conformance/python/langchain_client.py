"""LangChain's OpenAI package for Python."""

from checks import MODELS, SCRIPT, TOOL, WORLD, refusal, refusals, run, summed
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

V1 = f"{WORLD['url']}/v1"


def model_of(name, key=WORLD["key"], max_retries=1, **more):
    return ChatOpenAI(model=name, api_key=key, base_url=V1, max_retries=max_retries, **more)


def usage_of(message):
    usage = message.usage_metadata
    return {
        "input": usage["input_tokens"],
        "cached": usage["input_token_details"]["cache_read"],
        "output": usage["output_tokens"],
        "reasoning": usage["output_token_details"]["reasoning"],
    }


def gathered(chunks):
    whole = None
    for chunk in chunks:
        whole = chunk if whole is None else whole + chunk
    return whole


def chat():
    message = model_of(MODELS["plain"], max_tokens=12).invoke("Hello")
    return {"usage": usage_of(message), "requests": 1}


def stream():
    message = gathered(model_of(MODELS["talker"]).stream("Hello"))
    assert message.text == SCRIPT["text"]
    return {"usage": usage_of(message), "requests": 1}


def tools():
    bound = model_of(MODELS["caller"]).bind_tools([{"type": "function", "function": TOOL}])
    first = gathered(bound.stream("Hello"))
    call = first.tool_calls[0]
    assert (call["name"], call["args"]) == (TOOL["name"], {"city": "hello"}), call
    result = ToolMessage(tool_call_id=call["id"], content="hello: sunny")
    second = bound.invoke([HumanMessage("Hello"), first, result])
    assert second.text == f"{SCRIPT['resultPrefix']}hello: sunny"
    return {"usage": summed(usage_of(first), usage_of(second)), "requests": 2}


def responses():
    message = gathered(model_of(MODELS["talker"], use_responses_api=True).stream("Hello"))
    assert message.text == SCRIPT["text"]
    return {"usage": usage_of(message), "requests": 1}


def embeddings():
    # Without the check it sends texts; with it, tokens of a vocabulary that it would have to fetch.
    client = OpenAIEmbeddings(
        model=MODELS["embedder"], api_key=WORLD["key"], base_url=V1, check_embedding_ctx_length=False
    )
    assert len(client.embed_documents(["one", "three"])[1]) == SCRIPT["dimensions"]
    return {"requests": 1}


def ask(key=WORLD["key"], model=MODELS["talker"], text="Hello"):
    return model_of(model, key).invoke(text)


def is_error(error, status):
    assert getattr(error, "status_code", None) == status, repr(error)


def cut():
    error = refusal(lambda: gathered(model_of(MODELS["dies"], max_retries=0).stream("Hello")))
    return {"requests": 1, "detail": type(error).__name__}


run(
    {
        "chat": chat,
        "stream": stream,
        "tools": tools,
        "responses": responses,
        "embeddings": embeddings,
        **refusals(ask, is_error, repeats=1),
        "cut": cut,
    }
)
