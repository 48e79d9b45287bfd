"""Holds documents against the JSON schemas of ODCS 3.1 and 3.2, as two packages carry them.

One JSON document a line on standard input; one JSON answer a line: null, or the first error.
"""

import importlib.util
import json
import pathlib
import sys

from jsonschema import Draft201909Validator


def carried(package, file):
    """A file of a package that is not imported: what else it needs is not installed."""
    (directory,) = importlib.util.find_spec(package).submodule_search_locations
    return Draft201909Validator(json.loads((pathlib.Path(directory) / file).read_text()))


OLD = carried("open_data_contract_standard", "schema.json")
NEW = carried("datacontract", "schemas/odcs-3.2.0.schema.json")

for line in sys.stdin:
    document = json.loads(line)
    version = document.get("apiVersion", "v3.2.0") if isinstance(document, dict) else "v3.2.0"
    validator = NEW if version == "v3.2.0" else OLD
    error = next(validator.iter_errors(document), None)
    print(json.dumps(error and f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"))
