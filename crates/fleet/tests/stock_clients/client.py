"""The stock Python clients of OpenAI and Anthropic against a gateway: client.py URL KEY."""

import json
import sys

import anthropic
import openai

URL, KEY = sys.argv[1:]
MODEL = "tiny"
ASK = [{"role": "user", "content": "what is the weather like?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "weather", "description": "The weather of a city", "parameters": SCHEMA}


def expect(kind, call):
    """Makes a call that must fail in this way."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def models_and_completions(client):
    assert [model.id for model in client.models.list()] == [MODEL]
    answer = client.completions.create(model=MODEL, prompt="one two three", max_tokens=5)
    assert answer.choices[0].text and answer.usage.prompt_tokens == 3 and answer.usage.completion_tokens == 5
    chunks = list(client.completions.create(model=MODEL, prompt="one two three", max_tokens=5, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == answer.choices[0].text
    assert chunks[-1].choices[0].finish_reason == "length"


def chat(client):
    answer = client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=6)
    text = answer.choices[0].message.content
    assert text and answer.usage.completion_tokens == 6 and answer.choices[0].finish_reason == "length"
    assert client.chat.completions.with_raw_response.create(model=MODEL, messages=ASK, max_tokens=1).headers["x-request-id"]
    plain = list(client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=6, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in plain), "usage that nobody asked for"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in plain) == text
    counted = list(client.chat.completions.create(
        model=MODEL, messages=ASK, max_tokens=6, stream=True, stream_options={"include_usage": True}))
    assert counted[-1].usage.completion_tokens == 6 and not counted[-1].choices


def tools(client):
    offered = [{"type": "function", "function": FUNCTION}]
    answer = client.chat.completions.create(model=MODEL, messages=ASK, tools=offered)
    assert answer.choices[0].finish_reason == "tool_calls"
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "weather" and json.loads(call.function.arguments)["city"]
    arguments = ""
    for chunk in client.chat.completions.create(model=MODEL, messages=ASK, tools=offered, stream=True):
        for part in chunk.choices[0].delta.tool_calls or []:
            arguments += part.function.arguments or ""
    assert json.loads(arguments) == json.loads(call.function.arguments)
    result = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
    said = [*ASK, answer.choices[0].message.model_dump(exclude_none=True), result]
    answer = client.chat.completions.create(model=MODEL, messages=said, tools=offered, max_tokens=4)
    assert answer.choices[0].message.content and not answer.choices[0].message.tool_calls


def embeddings(client):
    answer = client.embeddings.create(model=MODEL, input=["one two", "three"])
    assert len(answer.data) == 2 and answer.usage.prompt_tokens == 3
    plain = client.embeddings.create(model=MODEL, input="one two", encoding_format="float")
    pairs = zip(answer.data[0].embedding, plain.data[0].embedding, strict=True)
    assert all(abs(one - other) < 1e-6 for one, other in pairs)


def responses(client):
    answer = client.responses.create(model=MODEL, input="tell me", max_output_tokens=6)
    assert answer.output_text and answer.usage.output_tokens == 6
    text, last = "", None
    for event in client.responses.create(model=MODEL, input="tell me", max_output_tokens=6, stream=True):
        text += event.delta if event.type == "response.output_text.delta" else ""
        last = event
    assert text == answer.output_text
    assert last.type == "response.completed" and last.response.usage.output_tokens == 6
    call = client.responses.create(model=MODEL, input="weather?", tools=[{"type": "function", **FUNCTION}]).output[0]
    assert call.type == "function_call" and json.loads(call.arguments)["city"]


def errors(client):
    stranger = openai.OpenAI(base_url=f"{URL}/v1", api_key="guess", max_retries=0)
    error = expect(openai.AuthenticationError, stranger.models.list)
    assert error.code == "invalid_api_key"
    ask = lambda **more: client.chat.completions.create(**{"model": MODEL, "messages": ASK, **more})
    expect(openai.NotFoundError, lambda: ask(model="other"))
    error = expect(openai.BadRequestError, lambda: ask(max_tokens="many"))
    assert error.param == "max_tokens" and error.code == "invalid_body"


def cancellation(client):
    stream = client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=3000, stream=True)
    next(stream)
    stream.close()
    # Cut off by the client's own patience, before the first byte of the answer.
    hasty = client.with_options(timeout=0.05)
    expect(openai.APITimeoutError, lambda: hasty.completions.create(model=MODEL, prompt="x", max_tokens=3000))


def messages():
    client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)
    ask = {"model": MODEL, "messages": ASK, "max_tokens": 6}
    answer = client.messages.create(**ask)
    assert answer.content[0].text and answer.usage.output_tokens == 6 and answer.stop_reason == "max_tokens"
    with client.messages.stream(**ask) as stream:
        assert "".join(stream.text_stream) == answer.content[0].text
        assert stream.get_final_message().usage.output_tokens == 6
    offered = [{"name": "weather", "input_schema": SCHEMA}]
    call = client.messages.create(**{**ask, "max_tokens": 100}, tools=offered)
    assert call.stop_reason == "tool_use" and call.content[0].input["city"]
    error = expect(anthropic.BadRequestError, lambda: client.messages.create(**{**ask, "max_tokens": -1}))
    assert error.body["error"]["type"] == "invalid_request_error", error.body
    stranger = anthropic.Anthropic(base_url=URL, api_key="guess", max_retries=0)
    error = expect(anthropic.AuthenticationError, lambda: stranger.messages.create(**ask))
    assert error.body["error"]["type"] == "authentication_error", error.body


def main():
    client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
    for part in [models_and_completions, chat, tools, embeddings, responses, errors, cancellation]:
        part(client)
    messages()


main()
