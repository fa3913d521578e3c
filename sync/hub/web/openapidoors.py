"""What the OpenAPI document says of the nodes' own doors: their bodies are MessagePack, described in sync/wire.py."""

from typing import Any, get_args

import msgspec

from sync import carry, enrol, wire
from sync.hub.web.openapi import NODE, REF

BATCH_TYPES = list(get_args(wire.BatchType))


def doors() -> tuple[dict[str, Any], dict[str, Any]]:
    """Paths, and the schemas that they speak of."""
    _, components = msgspec.json.schema_components([wire.Answer, enrol.Enrol, enrol.Enrolled], ref_template=REF)
    answer = _json("Answer")
    told = {
        "200": {"description": "taken; the cursor is the batch's own", "content": answer},
        "409": {"description": "send the layouts in `wanted` first", "content": answer},
        "default": {"description": "not taken; `error` says why", "content": answer},
    }
    paths = {
        wire.PATH: {
            "post": {
                "operationId": "post-ingest",
                "summary": "A node's batch, as sync/wire.py has it; of records also as JSON",
                "tags": ["nodes' doors"],
                "security": NODE,
                "parameters": [
                    _header(wire.BATCH_TYPE, {"type": "string", "enum": BATCH_TYPES}),
                    _header(wire.CURSOR, {"type": "string", "pattern": "^[0-9a-f]{16}:[0-9]+-[0-9]+$"}),
                ],
                "requestBody": {
                    "required": True,
                    "content": {wire.CONTENT_TYPE: {}, "application/json": {"schema": {"type": ["object", "array"]}}},
                },
                "responses": told,
            }
        },
        wire.COMMANDS_PATH: {
            "get": {
                "operationId": "get-commands",
                "summary": "What the hub has for a node, as soon as there is something",
                "tags": ["nodes' doors"],
                "security": NODE,
                "parameters": [
                    {"name": "wait", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": 120}},
                ],
                "responses": told,
            }
        },
        carry.PATH: {
            "post": {
                "operationId": "post-carry",
                "summary": "A file of batches that was carried here; answers with its receipt, a file too",
                "tags": ["nodes' doors"],
                "security": [],
                "requestBody": {"required": True, "content": {"application/octet-stream": {}}},
                "responses": {"200": {"description": "the receipt"}, "default": {"description": "not taken"}},
            }
        },
        enrol.PATH: {
            "post": {
                "operationId": "post-enrol",
                "summary": "A gateway with a claim code becomes a node",
                "tags": ["nodes' doors"],
                "security": [],
                "requestBody": {"required": True, "content": _json("Enrol")},
                "responses": {
                    "200": {"description": "it is a node", "content": _json("Enrolled")},
                    "default": {"description": "it is not; `error` says why", "content": _json("Refusal")},
                },
            }
        },
    }
    return paths, components


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REF.format(name=name)}}}


def _header(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": schema}
