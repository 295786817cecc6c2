"""Prints the operations of botocore's model of S3, as a JSON array.

Each has its name, its method, its URI, the parameters and headers that it requires, and
whether it takes a prefix.
"""

import json

import botocore.session

model = botocore.session.get_session().get_service_model("s3")


def describe(name):
    operation = model.operation_model(name)
    shape = operation.input_shape
    members = shape.members if shape else {}
    required = [members[member].serialization for member in (shape.required_members if shape else [])]

    def named(place):
        return [it["name"] for it in required if it.get("location") == place]

    return {
        "name": name,
        "method": operation.http["method"],
        "uri": operation.http["requestUri"],
        "parameters": named("querystring"),
        "headers": named("header"),
        "has_prefix": any(it.serialization.get("name") == "prefix" for it in members.values()),
    }


print(json.dumps([describe(name) for name in model.operation_names]))
