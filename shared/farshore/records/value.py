"""Reads a record's value: JSON into one of the models, or a MalformedRecordError that says where it is wrong."""

from datetime import UTC, datetime
from typing import Annotated, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ValidationError

from farshore.records.cloudevent import MalformedRecordError

Model = TypeVar("Model", bound=BaseModel)


def parse_value(model: type[Model], data: bytes, where: str) -> Model:
    """`data` as `model`; `where` names the record in errors (`topic/partition@offset`)."""
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise MalformedRecordError(where, f"{place}: {first['msg']}" if place else first["msg"]) from error


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time outside of the years 1 to 9999") from error


UtcTime = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A time with its zone, kept in UTC; one without is refused, since which clock it is from would be a guess."""
