"""Confluent's Python registry client, and a few calls by hand, against our registry.

usage: check_registry.py BROKERS REGISTRY PREFIX
"""

import json
import sys
import urllib.error
import urllib.request

from confluent_kafka.schema_registry import ConfigCompatibilityLevel, Schema, SchemaReference, SchemaRegistryClient, ServerConfig
from confluent_kafka.schema_registry.error import SchemaRegistryError

FIRST = '{"type": "record", "name": "R", "namespace": "n", "fields": [{"name": "a", "type": "int"}]}'
SECOND = FIRST.replace("]}", ', {"name": "b", "type": "int", "default": 0}]}')
BROKEN = FIRST.replace('"int"', '"string"')


def get(registry, path):
    try:
        with urllib.request.urlopen(registry + path, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        said = json.load(refusal)
        assert said["message"], said
        return refusal.code, said["error_code"]


def refused(status, code, call, *args, **more):
    try:
        answer = call(*args, **more)
    except SchemaRegistryError as error:
        assert (error.http_status_code, error.error_code) == (status, code), error
        return error.error_message
    raise AssertionError(f"{call.__name__}{args} was answered with {answer}, not refused with {code}")


def versions(client, registry, subject):
    first = client.register_schema(subject, Schema(FIRST, "AVRO"))
    assert client.register_schema(subject, Schema(FIRST, "AVRO"), normalize_schemas=True) == first
    # Another way to write the same schema is the same schema once it is normalized.
    spaced = json.dumps(json.loads(FIRST), indent=2)
    assert client.register_schema(subject, Schema(spaced, "AVRO"), normalize_schemas=True) == first
    assert client.lookup_schema(subject, Schema(spaced, "AVRO"), normalize_schemas=True).version == 1
    assert client.test_compatibility(subject, Schema(SECOND, "AVRO"))
    assert not client.test_compatibility(subject, Schema(BROKEN, "AVRO"))
    said = refused(409, 409, client.register_schema, subject, Schema(BROKEN, "AVRO"))
    assert "/fields/0/type" in said, said
    second = client.register_schema(subject, Schema(SECOND, "AVRO"))
    assert client.get_versions(subject) == [1, 2] and client.get_latest_version(subject).schema_id == second
    assert json.loads(client.get_schema(first).schema_str) == json.loads(FIRST)
    assert client.get_subjects_by_schema_id(first) == [subject]
    [version] = client.get_schema_versions(first)
    assert (version.subject, version.version) == (subject, 1), version
    assert client.get_schema_types() == ["AVRO"]
    refused(404, 40402, client.get_version, subject, 7)
    refused(404, 40401, client.get_latest_version, f"{subject}-nowhere")
    refused(404, 40403, client.get_schema, 2_000_000)
    reference = SchemaReference("n.R", subject, 1)
    said = refused(422, 42201, client.register_schema, f"{subject}-2", Schema('"n.R"', "AVRO", [reference]))
    assert "references to other subjects are not supported" in said, said
    # By hand: what the client does not ask, in words that other clients use.
    assert get(registry, f"/schemas/ids/{first}/schema")[1] == json.loads(FIRST)
    assert get(registry, f"/subjects/{subject}/versions/-1")[1]["id"] == second
    assert get(registry, f"/subjects?subjectPrefix={subject}&limit=-1&deleted=False") == (200, [subject])
    assert get(registry, f"/subjects/{subject}/versions?offset=1&limit=1") == (200, [2])
    assert get(registry, "/schemas/ids/none") == (404, 40403)
    assert get(registry, f"/subjects/{subject}/versions/0") == (422, 42202)
    assert get(registry, "/nowhere") == (404, 404)


def levels(client, subject):
    assert client.get_compatibility() == "BACKWARD"
    refused(404, 40408, client.get_compatibility, subject)
    for level in ("NONE", "FORWARD", "FULL_TRANSITIVE"):
        client.set_compatibility(subject, level)
        assert client.get_compatibility(subject) == level
    refused(422, 42203, client.set_compatibility, subject, "SOMETIMES")
    client.set_config(subject, ServerConfig(compatibility=ConfigCompatibilityLevel.BACKWARD_TRANSITIVE))
    assert client.get_config(subject).compatibility_level == ConfigCompatibilityLevel.BACKWARD_TRANSITIVE


def deletions(client, registry, subject):
    assert client.delete_version(subject, 2) == 2 and client.get_versions(subject) == [1]
    assert client.get_versions(subject, deleted=True) == [1, 2]
    assert get(registry, f"/subjects/{subject}/versions?deletedOnly=TRUE") == (200, [2])
    refused(404, 40406, client.delete_version, subject, 2)
    assert client.delete_subject(subject) == [1]
    assert get(registry, f"/subjects?subjectPrefix={subject}&deleted=true") == (200, [subject])
    assert subject not in client.get_subjects()
    # A schema that was written with is served for as long as there may be records of it.
    first = get(registry, f"/subjects/{subject}/versions/1?deleted=true")[1]["id"]
    assert get(registry, f"/schemas/ids/{first}")[0] == 200
    assert client.delete_subject(subject, permanent=True) == [1, 2]
    assert get(registry, f"/subjects?subjectPrefix={subject}&deleted=true") == (200, [])


def main(_brokers, registry, prefix):
    client = SchemaRegistryClient({"url": registry})
    subject = f"{prefix}-python"
    versions(client, registry, subject)
    levels(client, subject)
    deletions(client, registry, subject)
    print("the registry answers Confluent's Python client as expected")


if __name__ == "__main__":
    main(*sys.argv[1:])
