"""The writer of a company: as its database takes rows."""

from __future__ import annotations

from django.db import connections, router

from postprocessing.companies import Company
from postprocessing.models import model_of
from postprocessing.writing import Writer
from postprocessing.writing_postgresql import PostgresWriter
from postprocessing.writing_sqlite import SqliteWriter


def writer_of(company: Company) -> Writer:
    vendor = connections[router.db_for_write(model_of(company))].vendor
    return (PostgresWriter if vendor == "postgresql" else SqliteWriter)(company)
