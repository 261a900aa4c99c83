"""A person with a browser, in this process: what a page costs, and what it asks of the database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import Client, RequestFactory
from django.urls import NoReverseMatch, reverse

from orchestrator_site import auditing
from orchestrator_site.dashboard import menu

OWN = ("brain", "devices", "orchestrator_site", "postprocessing", "queues")
MISSES = "no-such-thing-anywhere"


@dataclass
class Visit:
    """One answer: its seconds, and those of each statement."""

    seconds: float
    statements: list[float] = field(default_factory=list)


class Reader:
    """Somebody who is signed in."""

    def __init__(self, name: str) -> None:
        # As beside a cluster, which seals the audit every minute: no page does.
        cache.set(auditing.COLLECTED, True, None)
        self.client = Client(SERVER_NAME="127.0.0.1")
        self.client.force_login(User.objects.get(username=name))

    def visit(self, address: str) -> Visit:
        """Raises AssertionError where the page is not shown."""
        statements: list[float] = []

        def timed(execute: Any, sql: Any, values: Any, many: Any, context: Any) -> Any:
            began = time.perf_counter()
            try:
                return execute(sql, values, many, context)
            finally:
                statements.append(time.perf_counter() - began)

        with connection.execute_wrapper(timed):
            began = time.perf_counter()
            answer = self.client.get(address)
            seconds = time.perf_counter() - began
        assert answer.status_code == 200, f"{address}: {answer.status_code}"
        return Visit(seconds, statements)


@contextmanager
def in_database(name: str) -> Iterator[None]:
    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before


def pages() -> dict[str, str]:
    """By a name for people: the addresses of the front page, of what the menu leads to, and of each
    list with its filters, its deepest page and two searches."""
    found = {"overview": reverse("admin:index")}
    request = _request()
    for group in menu.navigation(request):
        for item in group["items"]:
            found.setdefault(f"menu {item['title']}", str(item["link"]))
    lists = {
        address: model_admin
        for model, model_admin in admin.site._registry.items()
        if model._meta.app_label in OWN and (address := _address(model))
    }
    found = {name: link for name, link in found.items() if link not in lists}
    for address, model_admin in lists.items():
        label = model_admin.opts.label
        found[f"{label}"] = address
        for name, query in _ways(model_admin, request, address):
            found[f"{label} {name}"] = f"{address}{query}"
    return found


def _address(model: Any) -> str:
    try:
        return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    except NoReverseMatch:
        return ""


def _request() -> Any:
    request = RequestFactory().get("/")
    request.user = User.objects.filter(is_superuser=True)[0]
    return request


def _ways(model_admin: Any, request: Any, address: str) -> Iterator[tuple[str, str]]:
    changes = _change_list(model_admin, request)
    if changes is None:
        return
    for spec in changes.filter_specs:
        for choice in list(spec.choices(changes))[1:3]:
            if query := choice.get("query_string"):
                yield f"by {spec.title}: {choice['display']}", query
    if (full := changes.paginator.count // changes.paginator.per_page) > 1:
        yield "deepest page", f"?{PAGE_VAR}={full}"  # as many rows on it as on any
    if model_admin.search_fields:
        for what, text in (("hits", _term(changes)), ("misses", MISSES)):
            yield f"search that {what}", f"?{SEARCH_VAR}={text}"


def _change_list(model_admin: Any, request: Any) -> Any:
    """None for a page that is no list."""
    try:
        return model_admin.get_changelist_instance(request)
    except Exception as error:
        print(f"{model_admin}: {error}")
        return None


def _term(changes: Any) -> str:
    """Something that one of the newest rows is found by."""
    row = changes.result_list[0] if len(changes.result_list) else None
    for name in ("case_id", "curp", "expediente", "filename", "name", "key", "pk"):
        if row is not None and (value := getattr(row, name, None)):
            return str(value)
    return "1"
