"""The event types, their levels and shapes; the error and close codes.

Data and its loader, no behaviour of the mesh. What others use is named here; each module tells its
own rules.
"""

from harkara_catalogue.asyncapi import asyncapi_document
from harkara_catalogue.catalogue_file import CatalogueFileError, load_catalogue
from harkara_catalogue.codes import (
    CLOSE_CODES,
    ERROR_CODES,
    GRPC_STATUS_NUMBERS,
    ClientAction,
    CloseCode,
    ErrorCode,
)
from harkara_catalogue.data_check import MAX_DATA_BYTES, MAX_DATA_DEPTH, DataFault, check_data
from harkara_catalogue.event_types import LEVELS, Catalogue, EventType, Level
from harkara_catalogue.examples import example_data
from harkara_catalogue.json_schema import data_schema, event_schema, events_schema
from harkara_catalogue.markdown import catalogue_markdown, codes_markdown
from harkara_catalogue.typescript import catalogue_typescript, close_codes_javascript

__all__ = [
    "CLOSE_CODES",
    "ERROR_CODES",
    "GRPC_STATUS_NUMBERS",
    "LEVELS",
    "MAX_DATA_BYTES",
    "MAX_DATA_DEPTH",
    "Catalogue",
    "CatalogueFileError",
    "ClientAction",
    "CloseCode",
    "DataFault",
    "ErrorCode",
    "EventType",
    "Level",
    "asyncapi_document",
    "catalogue_markdown",
    "catalogue_typescript",
    "check_data",
    "close_codes_javascript",
    "codes_markdown",
    "data_schema",
    "event_schema",
    "events_schema",
    "example_data",
    "load_catalogue",
]
