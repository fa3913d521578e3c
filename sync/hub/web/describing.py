"""The API as a document, for programs at /api/v1/openapi.json and for people at /api."""

from collections.abc import Callable, Sequence
from typing import Any

from sync.hub.web.api import Call, Nothing, Route
from sync.hub.web.openapi import Json, document
from sync.hub.web.openapidoors import doors
from sync.hub.web.part import Part
from sync.hub.web.rights import Role
from sync.hub.web.shell import NoQuery, Page

METHODS = ("get", "post", "put", "patch", "delete")


class Describing(Part):
    """`routes`: gives those that there are when the document is asked for."""

    def __init__(self, routes: Callable[[], Sequence[Route[Any, Any]]], version: str) -> None:
        self._routes = routes
        self._version = version

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="GET", path="/api/v1/openapi.json", summary="This document",
                right=Role.VIEWER, handle=self._document, query=Nothing, body=Nothing, answer=dict[str, Any],
            ),
        )  # fmt: skip

    def pages(self) -> Sequence[Page[Any]]:
        return (Page(path="/api", template="api.html", right=Role.VIEWER, view=self._view, query=NoQuery, nav="API"),)

    def made(self) -> Json:
        return document(self._routes(), self._version, *doors())

    async def _document(self, call: Call[Nothing, Nothing]) -> Json:
        return self.made()

    async def _view(self, call: Call[NoQuery, Nothing]) -> Json:
        operations = [
            {"method": method.upper(), "path": path, **operation}
            for path, item in sorted(self.made()["paths"].items())
            for method, operation in item.items()
            if method in METHODS
        ]
        return {"operations": [_operation_view(one) for one in operations]}


def _operation_view(operation: Json) -> Json:
    return {
        "name": f"{operation['method']} {operation['path']}",
        "summary": operation["summary"],
        "role": operation.get("x-role", ""),
        "parameters": [
            {"name": one["name"], "where": one["in"], "words": _words(one)} for one in operation.get("parameters", ())
        ],
        "body": _body_text(operation.get("requestBody")),
    }


def _words(parameter: Json) -> str:
    schema: Json = parameter["schema"]
    kinds = schema.get("anyOf", [schema])
    parts = ["needed"] if parameter.get("required") else []
    parts += [" | ".join(str(kind.get("type", "")) for kind in kinds if kind.get("type"))]
    if "enum" in schema:
        parts.append("one of " + ", ".join(map(str, schema["enum"])))
    if "default" in schema and schema["default"] not in ("", []):
        parts.append(f"default {schema['default']}")
    if "description" in schema:
        parts.append(schema["description"])
    return "; ".join(part for part in parts if part)


def _body_text(body: Json | None) -> str:
    if body is None:
        return ""
    content: Json = body["content"]
    return ", ".join(
        f"{media} ({schema['$ref'].rpartition('/')[2]})" if "$ref" in (schema := of.get("schema", {})) else media
        for media, of in content.items()
    )
