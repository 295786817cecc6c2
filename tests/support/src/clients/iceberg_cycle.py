"""Writes and reads an Iceberg table below `team/`, with session credentials that allow that only.

See aws_wires.py for the variables. Ends with an exception if the server refuses a request within the
prefix, or does not refuse one outside.
"""

import sys
import tempfile

sys.dont_write_bytecode = True

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import StaticTable

from aws_wires import BUCKET, ENDPOINT, POLICY, ROLE, SECRET, issued, sts

credentials = issued(sts.assume_role(**ROLE, Policy=POLICY, DurationSeconds=900), 900)


def catalog(folder, name, location):
    """A catalog in a file of this folder, with the tables at this location."""
    return SqlCatalog(
        name,
        **{
            "uri": f"sqlite:///{folder}/{name}.db",
            "warehouse": f"s3://{BUCKET}/{location}",
            "s3.endpoint": ENDPOINT,
            "s3.region": "us-east-1",
            "s3.access-key-id": credentials["AccessKeyId"],
            "s3.secret-access-key": credentials["SecretAccessKey"],
            "s3.session-token": credentials["SessionToken"],
        },
    )


with tempfile.TemporaryDirectory() as folder:
    rows = pa.table({"id": [1, 2, 3], "name": ["one", "two", "three"]})
    inside = catalog(folder, "inside", "team/lake")
    inside.create_namespace("sales")
    table = inside.create_table("sales.orders", schema=rows.schema)
    table.append(rows)
    table.append(rows.slice(0, 1))
    table.delete("id = 3")
    read = inside.load_table("sales.orders").scan().to_arrow()
    assert sorted(read["id"].to_pylist()) == [1, 1, 2], read
    assert sorted(read["name"].to_pylist()) == ["one", "one", "two"], read
    assert table.location().startswith(f"s3://{BUCKET}/team/lake/"), table.location()

    outside = catalog(folder, "outside", "outside/lake")
    outside.create_namespace("sales")
    for call in [
        lambda: outside.create_table("sales.orders", schema=rows.schema),
        lambda: StaticTable.from_metadata(f"s3://{BUCKET}/{SECRET}", table.io.properties),
        lambda: table.io.new_input(f"s3://{BUCKET}/{SECRET}").open().read(),
        lambda: table.io.delete(f"s3://{BUCKET}/{SECRET}"),
    ]:
        try:
            call()
        except OSError as error:
            # The response to a HEAD has no body, so it has no code.
            assert "ACCESS_DENIED" in str(error) or "AccessDenied" in str(error), error
        else:
            raise AssertionError("a file outside of the prefix is not refused")
