"""What `/openapi.json` says of the routes at `/v1`: as much of each dialect as is read here. What else a provider takes may be sent too, and is passed on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI

from journeyman.core.canonical import Json

Node = dict[str, Json]
TEXT: Node = {"type": "string"}
FLAG: Node = {"type": "boolean"}
OBJECT: Node = {"type": "object"}
WHOLE: Node = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
COUNT: Node = {"type": "integer", "minimum": 1, "maximum": 2**32 - 1}
MODEL: Node = {
    "type": "string",
    "minLength": 1,
    "description": "`task:NAME`, `NAME@HASH`, `base:NAME`, `embed:NAME`, or a model of the provider",
}
STREAMED: Node = {**FLAG, "default": False, "description": "server-sent events instead of one document"}


def _object(required: str, **properties: Json) -> Node:
    return {"type": "object", "required": [*required.split()], "properties": properties}


def _list(items: Node, least: int = 0) -> Node:
    return {"type": "array", "items": items, **({"minItems": least} if least else {})}


def _either(*forms: Node) -> Node:
    return {"anyOf": [*forms]}


def _named(*names: str) -> Node:
    return {"type": "string", "enum": [*names]}


def _ref(name: str) -> Node:
    return {"$ref": f"#/components/schemas/{name}"}


PART = _object("type", type=_named("text"), text=TEXT)
SAID = _object(
    "role content",
    role=_named("system", "developer", "user", "assistant", "tool"),
    content=_either(TEXT, _list(PART)),
)
SHARED: Node = {
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "top_p": {"type": "number", "minimum": 0, "maximum": 1},
    "stream": STREAMED,
    "user": {**TEXT, "description": "whom the call is made for; kept as a hash"},
}
WISHES: Node = {
    **SHARED,
    "max_tokens": COUNT,
    "seed": WHOLE,
    "stop": _either(TEXT, _list({"type": "string", "minLength": 1})),
    "stream_options": _object("", include_usage=FLAG),
}
USAGE = _object("prompt_tokens completion_tokens total_tokens", prompt_tokens=WHOLE, completion_tokens=WHOLE)
ANSWERED = _object("id object created model choices", id=TEXT, object=TEXT, created=WHOLE, model=TEXT)
TASK = _object("name live instruction input output", name=TEXT, instruction=TEXT, input=OBJECT)
SCHEMAS: Mapping[str, Node] = {
    "Error": _object("error", error=_object("message type", message=TEXT, type=TEXT)),
    "ChatRequest": _object(
        "model messages",
        model=MODEL,
        messages=_list(SAID, 1),
        **WISHES,
        max_completion_tokens=COUNT,
        logprobs=FLAG,
        tools=_list(_object("type function", type=_named("function"), function=_object("name", name=TEXT))),
        response_format=_object("type", type=_named("text", "json_object", "json_schema"), json_schema=OBJECT),
        confidence={**FLAG, "description": "how sure a student is, in `journeyman` of the answer"},
    ),
    "ChatAnswer": ANSWERED,
    "TextRequest": _object("model prompt", model=MODEL, prompt={"type": "string", "minLength": 1}, **WISHES),
    "TextAnswer": ANSWERED,
    "MessagesRequest": _object(
        "model max_tokens messages",
        model=MODEL,
        max_tokens=COUNT,
        messages=_list(
            _object("role content", role=_named("user", "assistant"), content=_either(TEXT, _list(PART))), 1
        ),
        system=_either(TEXT, _list(PART)),
        temperature=SHARED["temperature"],
        top_p=SHARED["top_p"],
        stream=STREAMED,
        stop_sequences=_list({"type": "string", "minLength": 1}),
        tools=_list(_object("name input_schema", name=TEXT, description=TEXT, input_schema=OBJECT)),
        metadata=_object("", user_id=TEXT),
    ),
    "MessagesAnswer": _object(
        "id type role content model usage", id=TEXT, type=_named("message"), content=_list(OBJECT), usage=OBJECT
    ),
    "ResponsesRequest": _object(
        "model input",
        model=MODEL,
        input=_either({"type": "string", "minLength": 1}, _list(SAID, 1)),
        instructions=TEXT,
        max_output_tokens=COUNT,
        text=_object("", format=_object("type", type=_named("text", "json_object", "json_schema"), schema=OBJECT)),
        **SHARED,
    ),
    "ResponsesAnswer": _object("id object output", id=TEXT, object=_named("response"), output=_list(OBJECT)),
    "EmbeddingsRequest": _object(
        "model input",
        model=MODEL,
        input=_either({"type": "string", "minLength": 1}, _list({"type": "string", "minLength": 1}, 1)),
        encoding_format=_named("float", "base64"),
        dimensions=COUNT,
        user=TEXT,
    ),
    "EmbeddingsAnswer": _object("object data model usage", object=_named("list"), data=_list(OBJECT), usage=OBJECT),
    "FeedbackRequest": {
        **_object(
            "trace",
            trace={**TEXT, "minLength": 1, "description": "the answer's `x-journeyman-trace`, or its id"},
            verdict=_named("up", "down"),
            answer=_either(OBJECT, TEXT),
            outcome=_either(OBJECT, TEXT, {"type": "number"}, FLAG),
            note=TEXT,
            input=_either(OBJECT, _list(OBJECT)),
        ),
        "additionalProperties": False,
    },
    "FeedbackAnswer": _object("trace stored", trace=TEXT, stored=_list(TEXT)),
    "Models": _object("object data", object=_named("list"), data=_list(_ref("Model"))),
    "Model": _object("id object", id=TEXT, object=_named("model")),
    "Tasks": _object("tasks", tasks=_list(TASK)),
}
POSTS: Mapping[str, tuple[str, str]] = {
    "/v1/chat/completions": ("Chat", "OpenAI's chat completions"),
    "/v1/completions": ("Text", "OpenAI's legacy completions"),
    "/v1/messages": ("Messages", "Anthropic's messages"),
    "/v1/responses": ("Responses", "OpenAI's responses"),
    "/v1/embeddings": ("Embeddings", "OpenAI's embeddings"),
    "/v1/feedback": ("Feedback", "What came of a recorded call"),
}
GETS: Mapping[str, tuple[str, str]] = {
    "/v1/models": ("Models", "What may be asked by name"),
    "/v1/models/{name}": ("Model", "One of them"),
    "/tasks": ("Tasks", "The tasks, with their fields"),
}
STREAMS = ("Chat", "Text", "Messages", "Responses")


def describe_dialects(app: FastAPI) -> None:
    """Add the plain routes to what the app says of itself."""
    written: Callable[[], dict[str, Any]] = app.openapi

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = written()
            document["paths"] |= {path: {"post": _post(path, *about)} for path, about in POSTS.items()}
            document["paths"] |= {path: {"get": _get(path, *about)} for path, about in GETS.items()}
            document.setdefault("components", {}).setdefault("schemas", {}).update(SCHEMAS)
        return app.openapi_schema or {}

    app.openapi = describe  # type: ignore[method-assign]


def _post(path: str, name: str, about: str) -> Node:
    body: Node = {"required": True, "content": {"application/json": {"schema": _ref(f"{name}Request")}}}
    answers: Node = {"application/json": {"schema": _ref(f"{name}Answer")}}
    if name in STREAMS:
        answers["text/event-stream"] = {"schema": TEXT}
    return _operation(path, about) | {"requestBody": body, "responses": _responses(answers)}


def _get(path: str, name: str, about: str) -> Node:
    place: Json = {"name": "name", "in": "path", "required": True, "schema": TEXT}
    parameters: Node = {"parameters": [place]} if "{name}" in path else {}
    return (
        _operation(path, about) | parameters | {"responses": _responses({"application/json": {"schema": _ref(name)}})}
    )


def _operation(path: str, about: str) -> Node:
    return {"summary": about, "operationId": path.strip("/").translate(str.maketrans("/", "_", "{}"))}


def _responses(answers: Node) -> Node:
    error: Node = {"application/json": {"schema": _ref("Error")}}
    return {
        "200": {"description": "The answer", "content": answers},
        "default": {"description": "Why there is none, with a code", "content": error},
    }
