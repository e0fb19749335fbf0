"""The OpenAPI description matches the service, and its examples work."""

from __future__ import annotations

import json

import pytest

from twofold.server.query import ExtractQuery


@pytest.fixture(scope="module")
def description(service):
    return service.get("/openapi.json").json


def operation(description: dict) -> dict:
    return description["paths"]["/v1/extract"]["post"]


def test_every_reference_exists(description):
    text = json.dumps(description)
    for name in {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert name in description["components"]["schemas"]
    assert '"#/$defs' not in text


def test_examples_of_requests_work(service, description):
    for content_type, content in operation(description)["requestBody"]["content"].items():
        for name, example in content.get("examples", {}).items():
            value = example["value"]
            body = value.encode() if isinstance(value, str) else json.dumps(value).encode()
            answer = service.post(body, Content_Type=content_type)
            assert answer.status == 200, name
            assert b'"error"' not in answer.body
            assert b'"unreadable"' not in answer.body


def test_examples_of_responses_and_real_responses_match_the_schema(service, description):
    jsonschema = pytest.importorskip("jsonschema")
    content = operation(description)["responses"]["200"]["content"]["application/json"]
    schema = content["schema"] | {"components": description["components"]}
    validator = jsonschema.Draft202012Validator(schema)
    for example in content["examples"].values():
        validator.validate(example["value"])
    posts = [{"id": 1, "text": "Anna Berg at ACME in paris", "alt_text": "x"}, {"id": 2}]
    validator.validate(service.post(posts[0]).json)
    validator.validate(service.post({"posts": posts}).json)
    refused = {"$ref": "#/components/schemas/Error", "components": description["components"]}
    jsonschema.Draft202012Validator(refused).validate(service.post(posts[1]).json)


def test_all_options_and_all_statuses_are_described(description):
    found = operation(description)
    assert {parameter["name"] for parameter in found["parameters"]} == set(ExtractQuery.model_fields)
    assert all(parameter["description"] for parameter in found["parameters"])
    assert {"400", "401", "403", "408", "413", "415", "421", "422", "429", "500", "503", "504"} <= set(
        found["responses"]
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the generator's own packages
@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
def test_generated_requests_conform_to_the_description(service, mode):
    """No internal error, no undescribed response, and no accepted request that breaks the schema."""
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, given, settings

    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{service.port}/openapi.json")
    # A post with offsets outside its text is valid by the schema, but is refused.
    excluded = [schemathesis.checks.CHECKS.get_one("positive_data_acceptance")]
    operations = [found.ok() for found in schema.get_all_operations()]
    if mode == "NEGATIVE":  # the others take no input
        operations = [operation for operation in operations if operation.path == "/v1/extract"]
    for operation in operations:

        @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode[mode]))
        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        def ask(case) -> None:
            case.call_and_validate(excluded_checks=excluded)

        ask()
