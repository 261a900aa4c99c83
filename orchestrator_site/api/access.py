"""Who may ask what: keys, roles, scopes."""

from __future__ import annotations

from typing import Any

from django.core.cache import caches
from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import exceptions, permissions
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request
from rest_framework.throttling import UserRateThrottle

from orchestrator_site import row_security
from orchestrator_site.actors import ActorKind, act_as
from orchestrator_site.api import keys
from orchestrator_site.models import ApiKey
from orchestrator_site.roles import ADMIN_ALONE
from orchestrator_site.tenancy import is_welcome, organisation_of

NAME_MAX = 140  # an event's actor and a pause's holder have room for this and the kind


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer KEY` (or `Api-Key KEY`)."""

    def authenticate(self, request: Request) -> tuple[Any, ApiKey] | None:
        scheme, _space, key = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() not in ("bearer", "api-key"):
            return None
        api_key = keys.find(key.strip(), request.method)
        if api_key is None:
            raise exceptions.AuthenticationFailed(_("This key is unknown, expired or disabled."))
        person = api_key.user.get_username()
        act_as(ActorKind.API_KEY, f"{person}/{api_key.name}"[:NAME_MAX], person)
        row_security.let_in(api_key.user)
        return api_key.user, api_key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class ApiKeyScheme(OpenApiAuthenticationExtension):
    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class RequestThrottle(UserRateThrottle):
    """Counted by each process: a count that all share costs more than most of what is asked."""

    cache = caches["process"]


class RolePermission(permissions.BasePermission):
    """Django's permissions by role, narrowed by the key's scope.

    A view names `required_permission` for its verb (or several, with blanks between); reading
    asks for the model's view permission.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if not request.user or not request.user.is_authenticated:
            return False
        needed = self.needed(request, view)
        return self.in_scope(request, needed) and request.user.has_perms(needed)

    def needed(self, request: Request, view: Any) -> list[str]:
        if named := getattr(view, "required_permission", None):
            return named.split()
        queryset = getattr(view, "queryset", None)
        if queryset is None:
            return []
        meta = queryset.model._meta
        verb = {"POST": "add", "PUT": "change", "PATCH": "change", "DELETE": "delete"}
        return [f"{meta.app_label}.{verb.get(request.method or '', 'view')}_{meta.model_name}"]

    def in_scope(self, request: Request, needed: list[str]) -> bool:
        if not isinstance(request.auth, ApiKey) or request.auth.scope == ApiKey.Scope.ADMIN:
            return True
        if request.method in permissions.SAFE_METHODS:
            return True
        return request.auth.scope == ApiKey.Scope.OPERATE and operates(needed)


def operates(needed: list[str]) -> bool:
    """Whether these are permissions to act, and not to configure."""
    names = [permission.partition(".")[2] for permission in needed]
    acts = all(name.startswith("operate_") and name not in ADMIN_ALONE for name in names)
    return acts and bool(names)


class MemberPermission(RolePermission):
    """For members of an organisation: about themselves and it. A key writes with full scope."""

    def has_permission(self, request: Request, view: Any) -> bool:
        user = request.user
        if not user or organisation_of(user) is None or not is_welcome(user):
            return False
        return self.in_scope(request, [])
