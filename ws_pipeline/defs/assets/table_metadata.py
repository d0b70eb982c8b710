"""A table as the UI shows it."""

from typing import Any

import dagster as dg
import pyarrow as pa

_DIGITS = 4


def table_metadata(table: pa.Table) -> dg.TableMetadataValue:
    """Every row and column of a small table; lists as text, numbers rounded."""
    columns = [dg.TableColumn(field.name, _kind_of(field.type)) for field in table.schema]
    records = [
        dg.TableRecord({name: _cell(value) for name, value in row.items()}) for row in table.to_pylist()
    ]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))


def _kind_of(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "int"
    return "float" if pa.types.is_floating(kind) else "string"


def _cell(value: Any) -> str | int | float | None:
    """A value as the UI's tables can hold it."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return round(value, _DIGITS) if isinstance(value, float) else value
