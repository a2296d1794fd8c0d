"""Strict tool schemas: what the API takes of JSON Schema, and whether a value keeps one."""

from typing import Any

Body = dict[str, Any]  # JSON of the protocol

_KNOWN = frozenset(
    {"type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf"}
    | {"description", "title", "default", "$ref", "$defs", "format", "pattern", "minItems"}
)
_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def schema_problem(schema: object, where: str = "input_schema") -> str | None:
    """Why a strict tool may not have this schema; None if it may."""
    if not isinstance(schema, dict):
        return f"{where}: an object is needed"
    unknown = sorted(set(schema) - _KNOWN)
    if unknown:
        return f"{where}: {', '.join(unknown)} is not supported in a strict tool"
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            return f"{where}: additionalProperties must be false in a strict tool"
        if not set(schema.get("required", [])) <= set(schema.get("properties", {})):
            return f"{where}: required names a property that is not there"
    parts = {f"{where}.{name}": part for name, part in schema.get("properties", {}).items()}
    if "items" in schema:
        parts[f"{where}.items"] = schema["items"]
    return next(filter(None, (schema_problem(part, name) for name, part in parts.items())), None)


def value_problem(value: object, schema: Body, where: str = "input") -> str | None:
    """Why ``value`` does not keep ``schema``; None if it does."""
    if "enum" in schema and value not in schema["enum"]:
        return f"{where}: {value!r} is none of {schema['enum']}"
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind] if kind else []
    if kinds and not any(_is_a(value, name) for name in kinds):
        return f"{where}: {kind} is needed, got {value!r:.80}"
    parts: dict[str, tuple[object, Body]] = {}
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        missing = sorted(set(schema.get("required", [])) - set(value))
        beside = sorted(set(value) - set(properties))
        if missing or (beside and schema.get("additionalProperties") is False):
            return f"{where}: {missing} is missing, {beside} is not allowed"
        parts = {f"{where}.{n}": (v, properties[n]) for n, v in value.items() if n in properties}
    elif isinstance(value, list) and "items" in schema:
        parts = {f"{where}[{i}]": (item, schema["items"]) for i, item in enumerate(value)}
    return next(filter(None, (value_problem(v, s, n) for n, (v, s) in parts.items())), None)


def _is_a(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES.get(name, object))
