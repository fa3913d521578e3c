"""The OpenAPI 3.1 document, made of the routes; pure."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from sync.hub.web.api import JSON, Nothing, Refusal, Route

REF = "#/components/schemas/{name}"
REFUSALS = {
    "400": "parameters or body are not what they have to be",
    "401": "nobody is signed in",
    "403": "the role does not reach so far",
    "404": "not there, or not yours to see",
    "429": "too often; Retry-After says when to come again",
    "503": "the store fails just now, or there is no room; come again",
    "default": "whatever else goes wrong",
}
OF_BODIES = {"413": "too many bytes", "415": "the body is not JSON"}
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "holdfast"},
    "nodeId": {"type": "apiKey", "in": "header", "name": "X-Node-ID"},
    "nodeSecret": {"type": "apiKey", "in": "header", "name": "X-Node-Secret"},
}
PEOPLE: list[dict[str, list[str]]] = [{"bearer": []}, {"cookie": []}]
NODE: list[dict[str, list[str]]] = [{"nodeId": [], "nodeSecret": []}]

Json = dict[str, Any]


def document(routes: Sequence[Route[Any, Any]], version: str, doors: Json, of_doors: Json) -> Json:
    """`doors`: paths that are no routes, as they stand in the document; `of_doors`: the schemas that these speak of."""
    kinds = {kind for route in routes for kind in (route.query, route.body)}
    answers = [route.answer for route in routes if route.answer is not None]
    schemas, components = msgspec.json.schema_components([*kinds, *answers, Refusal], ref_template=REF)
    of_kinds = dict(zip(kinds, schemas, strict=False))
    of_answers = iter(schemas[len(kinds) :])
    paths: Json = {}
    for route in routes:
        answer = next(of_answers) if route.answer is not None else None
        query = components[of_kinds[route.query]["$ref"].rpartition("/")[2]]
        body = None if route.body is Nothing else of_kinds[route.body]
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, query, body, answer)
    queries = {of_kinds[route.query]["$ref"].rpartition("/")[2] for route in routes}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Holdfast hub", "version": version},
        "paths": paths | doors,
        "components": {
            "schemas": of_doors | {name: one for name, one in components.items() if name not in queries},
            "securitySchemes": SCHEMES,
        },
        "security": PEOPLE,
    }


def _operation(route: Route[Any, Any], query: Json, body: Json | None, answer: Json | None) -> Json:
    refusals = REFUSALS | (OF_BODIES if body is not None else {})
    responses = {str(route.status): _response(route, answer)} | {
        status: {"description": words, "content": {JSON: {"schema": {"$ref": REF.format(name="Refusal")}}}}
        for status, words in refusals.items()
    }
    operation: Json = {
        "operationId": _name(route),
        "summary": route.summary,
        "tags": [route.path.split("/")[3]],
        **({"x-role": str(route.right)} if route.right is not None else {"security": []}),
        **({"security": [*PEOPLE, *NODE]} if route.node is not None else {}),
        "parameters": [*_of_path(route.path), *_of_query(query)],
        "responses": responses,
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    return operation


def _response(route: Route[Any, Any], answer: Json | None) -> Json:
    if answer is None:
        return {"description": "done"}
    # Of a stream, the schema is what its events have in them: OpenAPI 3.1 cannot say more.
    extra = {} if JSON in route.media or answer == {"type": "string"} else {"x-event": answer}
    content = {media: {"schema": answer if media == JSON else {"type": "string"}} for media in route.media.split(", ")}
    return {"description": "done", "content": content} | extra


def _name(route: Route[Any, Any]) -> str:
    parts = re.findall(r"[A-Za-z0-9]+", route.path.removeprefix("/api/v1"))
    return "-".join([route.method.lower(), *parts])


def _of_path(path: str) -> Iterable[Json]:
    for name in re.findall(r"{(\w+)}", path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _of_query(query: Json) -> Iterable[Json]:
    required = query.get("required", ())
    for name, schema in query.get("properties", {}).items():
        plain = _without_null(schema)
        yield {"name": name, "in": "query", "required": name in required, "schema": plain}


def _without_null(schema: Json) -> Json:
    """A parameter that is left out is no null."""
    outer = {key: value for key, value in schema.items() if key != "anyOf" and (key, value) != ("default", None)}
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    return outer | (kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {})
