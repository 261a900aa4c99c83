"""Parts of pages that renew themselves.

**Any page** renews a part of itself every few seconds so:

    {% block extrahead %}{{ block.super }}{% include "admin/live/head.html" %}{% endblock %}
    <div id="queue" {% include "admin/live/own.html" with id="queue" seconds=5 %}>
      {% include "admin/live/switch.html" with at=now %} ... </div>

It asks for its own address and swaps the element of that id; not while the tab is hidden, the
reader has switched it off, or has selected text in it. `<time data-age datetime="...">` in it (or
anywhere) tells how long ago, and ticks. Without JavaScript all of it stands still, with a link.

**A part that all readers share** (one snapshot for everybody) is a `Part`, offered by `offer` and
asked for at `/admin/live/NAME/`, where urls.py has its `view`. Whoever asks again is known in this
process: neither session nor user nor rights are read, and what was rendered for the same snapshot,
rights and language is handed out again, or 304. Once a minute it is looked, for all readers in one
statement, whether each is still signed in with the same rights; whose are not is let in anew or not
at all. So what is withdrawn is gone within a minute.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

from orchestrator_site.dashboard import together

PATH = "/admin/live/"
CHECKED = 60.0  # seconds between two looks at who may still read
RENDERED = 64  # fragments kept a part
Rights = frozenset[str]
Key = tuple[str, ...]


@dataclass(frozen=True)
class Snapshot:
    """Plain data, the same for all readers. `version` changes with what it says."""

    version: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Part:
    """`permissions`: those that its look depends on. `render` is called with the snapshot and
    those of them that the reader has, in the reader's language and zone."""

    name: str
    permissions: tuple[str, ...]
    current: Callable[[], Snapshot]
    render: Callable[[Snapshot, Rights], str]


@dataclass(frozen=True)
class Reader:
    """Who has been let in: `stamp` is what their rights come from."""

    user_id: int
    session_key: str
    stamp: Hashable
    may: Rights
    language: str
    zone: str


PARTS: dict[str, Part] = {}


def offer(part: Part) -> Part:
    PARTS[part.name] = part
    return part


def rights_of(user: Any, part: Part) -> Rights:
    return frozenset(name for name in part.permissions if user.has_perm(name))


# --- Answers -------------------------------------------------------------------------------------

_rendered: dict[str, dict[Hashable, str]] = {}


def fragment(part: Part, snapshot: Snapshot, may: Rights) -> str:
    """The part as a reader with these rights sees it, in the language and zone of the moment."""
    kept = _rendered.setdefault(part.name, {})
    key = (snapshot.version, may, get_language(), timezone.get_current_timezone_name())
    found = kept.get(key)
    if found is None:
        found = part.render(snapshot, may)
        if len(kept) >= RENDERED:
            kept.clear()
        kept[key] = found
    return found


def _answer(request: HttpRequest, part: Part, reader: Reader) -> HttpResponse:
    snapshot = part.current()
    look = hash((reader.may, reader.language, reader.zone)) & 0xFFFFFFFF
    tag = f'"{snapshot.version}-{look:x}"'
    if request.headers.get("If-None-Match") == tag:
        response: HttpResponse = HttpResponseNotModified()
    else:
        with translation.override(reader.language), timezone.override(reader.zone):
            response = HttpResponse(fragment(part, snapshot, reader.may))
    response["ETag"] = tag
    response["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, ["Cookie", "Accept-Language"])
    return response


# --- Who may read --------------------------------------------------------------------------------


class Door:
    """Readers who were let in before, by their cookie and language."""

    def __init__(self) -> None:
        self._known: dict[Key, Reader] = {}
        self._checked = time.monotonic()
        self._lock = threading.Lock()

    def find(self, key: Key) -> Reader | None:
        if time.monotonic() - self._checked > CHECKED and self._lock.acquire(blocking=False):
            try:
                self.check()
            finally:
                self._lock.release()
        return self._known.get(key)

    def let_in(self, key: Key, reader: Reader) -> None:
        self._known[key] = reader

    def check(self) -> None:
        """Forget whoever has signed out, or whose rights come from something else by now; all of
        them where that cannot be looked up."""
        known, self._checked = dict(self._known), time.monotonic()
        try:
            alive, stamps = _standing(
                {reader.session_key for reader in known.values()},
                {reader.user_id for reader in known.values()},
            )
        except Exception:
            self._known.clear()
            raise
        for key, reader in known.items():
            stamp = stamps.get(reader.user_id)  # None: somebody who may not come in
            if reader.session_key not in alive or stamp is None or stamp != reader.stamp:
                self._known.pop(key, None)


DOOR = Door()


def _standing(sessions: set[str], users: set[int]) -> tuple[set[str], dict[int, Hashable]]:
    """Which sessions live, and what each user's rights come from, in one statement."""
    staff = User.objects.filter(pk__in=users, is_active=True, is_staff=True).order_by()
    found = together.fetch(
        sessions=Session.objects.filter(
            session_key__in=sessions, expire_date__gt=timezone.now()
        ).values("session_key"),
        users=staff.values("pk", "password", "is_superuser"),
        groups=User.groups.through.objects.filter(user_id__in=users).values("user_id", "group_id"),
        own=User.user_permissions.through.objects.filter(user_id__in=users).values(
            "user_id", "permission_id"
        ),
        roles=Group.permissions.through.objects.values("group_id", "permission_id"),
    )
    roles = frozenset((row["group_id"], row["permission_id"]) for row in found["roles"])
    stamps: dict[int, Hashable] = {}
    for row in found["users"]:
        groups = frozenset(r["group_id"] for r in found["groups"] if r["user_id"] == row["pk"])
        own = frozenset(r["permission_id"] for r in found["own"] if r["user_id"] == row["pk"])
        through = hash(frozenset(one for one in roles if one[0] in groups))
        stamps[row["pk"]] = (row["password"], row["is_superuser"], groups, own, through)
    return {row["session_key"] for row in found["sessions"]}, stamps


def _key(request: HttpRequest, part: Part) -> Key:
    cookies = request.COOKIES
    return (
        part.name,
        cookies.get(settings.SESSION_COOKIE_NAME, ""),
        cookies.get(settings.LANGUAGE_COOKIE_NAME, ""),
        request.headers.get("Accept-Language", ""),
    )


def _reader(request: HttpRequest, part: Part) -> Reader:
    """Somebody whom the ordinary middleware has signed in."""
    user: Any = request.user
    session_key = request.session.session_key or ""
    # First what the rights come from: what is changed meanwhile is seen at the next look.
    _alive, stamps = _standing(set(), {user.pk})
    return Reader(
        user_id=user.pk,
        session_key=session_key,
        stamp=stamps.get(user.pk),
        may=rights_of(user, part),
        language=get_language() or settings.LANGUAGE_CODE,
        zone=timezone.get_current_timezone_name(),
    )


def view(part: Part) -> Callable[[HttpRequest], HttpResponse]:
    """Its address, for whoever is not known yet: they have passed all of the middleware."""

    @require_safe
    def answer(request: HttpRequest) -> HttpResponse:
        if not admin.site.has_permission(request):  # htmx loads the page anew, which asks who it is
            return HttpResponse(status=401, headers={"HX-Refresh": "true"})
        reader = _reader(request, part)
        DOOR.let_in(_key(request, part), reader)
        return _answer(request, part, reader)

    return answer


class LiveMiddleware:
    """Answers whoever is known before anything is asked of the database."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method == "GET" and request.path_info.startswith(PATH):
            part = PARTS.get(request.path_info[len(PATH) :].rstrip("/"))
            reader = DOOR.find(_key(request, part)) if part else None
            if part and reader:
                return _answer(request, part, reader)
        return self.get_response(request)
