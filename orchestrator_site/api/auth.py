"""Registration, login, and one's own keys. Names as the control plane's guide has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate, password_validation
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from orchestrator_site import membership
from orchestrator_site.api.access import MemberPermission
from orchestrator_site.api.choices import ChoiceField
from orchestrator_site.api.errors import Conflict
from orchestrator_site.api.views import ErrorSerializer
from orchestrator_site.models import ApiKey, Member
from orchestrator_site.tenancy import is_welcome

MOST_KEYS = 50  # of a person


class EntryThrottle(SimpleRateThrottle):
    """By the caller's address, whatever headers say of it."""

    scope = "entry"

    def get_cache_key(self, request: Request, view: Any) -> str:
        return self.cache_format % {"scope": self.scope, "ident": request.META["REMOTE_ADDR"]}


class PersonSerializer(serializers.Serializer[Any]):
    """Who registers: with `orgName` for a new organisation, or with an invitation."""

    email = serializers.EmailField(max_length=150)
    password = serializers.CharField(max_length=200, trim_whitespace=False)
    name = serializers.CharField(max_length=150)
    orgName = serializers.CharField(max_length=150, required=False)
    invitation = serializers.CharField(max_length=1000, required=False)

    def validate_email(self, email: str) -> str:
        address = email.lower()
        if User.objects.filter(username__iexact=address).exists():
            raise serializers.ValidationError(_("There is a user with this address already."))
        return address

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("orgName" in attrs) == ("invitation" in attrs):
            told = _("Give the name of a new organisation, or an invitation.")
            raise serializers.ValidationError({"orgName": told})
        person = User(username=attrs["email"], email=attrs["email"], first_name=attrs["name"])
        try:
            password_validation.validate_password(attrs["password"], person)
        except ValidationError as error:
            raise serializers.ValidationError({"password": error.messages}) from error
        return attrs


class LoginSerializer(serializers.Serializer[Any]):
    email = serializers.EmailField(max_length=150)
    password = serializers.CharField(max_length=200, trim_whitespace=False)


class UserSerializer(serializers.ModelSerializer[User]):
    id = serializers.CharField(source="pk")
    name = serializers.CharField(source="first_name")

    class Meta:
        model = User
        fields = ("id", "email", "name")


class PlaceSerializer(serializers.ModelSerializer[Member]):
    """The organisation that one belongs to, and what one is there."""

    id = serializers.UUIDField(source="organisation_id")
    name = serializers.CharField(source="organisation.name")

    class Meta:
        model = Member
        fields = ("id", "name", "role")


class TokenSerializer(serializers.Serializer[Any]):
    token = serializers.CharField()
    expiresAt = serializers.DateTimeField()
    user = UserSerializer()
    organisation = PlaceSerializer(allow_null=True)


class EntryView(APIView):
    """Where nobody is known yet."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = (EntryThrottle,)

    def get_authenticate_header(self, request: Request) -> str:
        return "Bearer"

    def let_in(self, user: User, status: int) -> Response:
        key, row = membership.log_in(user)
        token = {
            "token": key,
            "expiresAt": row.expires_at,
            "user": user,
            "organisation": getattr(user, "membership", None),
        }
        return Response(TokenSerializer(token).data, status=status)


class RegisterView(EntryView):
    @extend_schema(
        request=PersonSerializer,
        responses={201: TokenSerializer, 403: ErrorSerializer, 409: ErrorSerializer},
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """A new user: with a new organisation, or in the one that invites."""
        given = PersonSerializer(data=request.data)
        is_invited = isinstance(request.data, Mapping) and "invitation" in request.data
        if not is_invited and not settings.REGISTRATION_IS_OPEN:
            raise PermissionDenied(_("Registration is closed: ask for an invitation."))
        given.is_valid(raise_exception=True)
        person = {name: given.validated_data[name] for name in ("email", "password", "name")}
        if name := given.validated_data.get("orgName"):
            member = membership.start(name, **person)
        else:
            try:
                member = membership.accept(given.validated_data["invitation"], **person)
            except membership.InvitationRefused as error:
                raise serializers.ValidationError({"invitation": str(error)}) from error
        return self.let_in(member.user, 201)


class LoginView(EntryView):
    @extend_schema(
        request=LoginSerializer,
        responses={200: TokenSerializer, 401: ErrorSerializer, 429: ErrorSerializer},
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """A bearer token for twelve hours."""
        given = LoginSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        name, password = given.validated_data["email"].lower(), given.validated_data["password"]
        user = authenticate(request._request, username=name, password=password)
        if user is None:
            raise AuthenticationFailed(_("This address and this password do not belong together."))
        if not is_welcome(user):
            raise PermissionDenied(_("Your organisation is switched off."))
        user_logged_in.send(sender=type(user), request=request._request, user=user)
        return self.let_in(user, 200)


class LogoutView(APIView):
    permission_classes = (MemberPermission,)

    @extend_schema(request=None, responses={204: None, 409: ErrorSerializer})
    def post(self, request: Request) -> Response:
        """End the login whose token this is."""
        if not isinstance(request.auth, ApiKey) or request.auth.name != membership.LOGIN:
            raise Conflict(_("This is not the token of a login: delete the key instead."))
        request.auth.delete()
        return Response(status=204)


class KeySerializer(serializers.ModelSerializer[ApiKey]):
    """A key, but for itself."""

    serializer_choice_field = ChoiceField
    expiresAt = serializers.DateTimeField(source="expires_at", required=False, allow_null=True)
    lastUsedAt = serializers.DateTimeField(source="last_used_at", read_only=True, allow_null=True)
    createdAt = serializers.DateTimeField(source="created_at", read_only=True)

    class Meta:
        model = ApiKey
        fields = ("id", "name", "prefix", "scope", "expiresAt", "lastUsedAt", "createdAt")
        read_only_fields = ("prefix",)

    def validate_name(self, name: str) -> str:
        if name == membership.LOGIN:
            raise serializers.ValidationError(_("This name is for the keys that logins make."))
        return name

    def validate_expiresAt(self, moment: Any) -> Any:
        if moment is not None and moment <= timezone.now():
            raise serializers.ValidationError(_("This moment is over."))
        return moment


class IssuedKeySerializer(KeySerializer):
    """`key` is told once, by the answer that makes it."""

    key = serializers.CharField(read_only=True)

    class Meta(KeySerializer.Meta):
        fields = (*KeySerializer.Meta.fields, "key")  # type: ignore[assignment]


class KeyViewSet(
    mixins.ListModelMixin,
    mixins.CreateModelMixin,
    mixins.DestroyModelMixin,
    viewsets.GenericViewSet[ApiKey],
):
    """A member's own keys. Those of our staff are given out by administrators."""

    queryset = ApiKey.objects.all()
    serializer_class = KeySerializer
    permission_classes = (MemberPermission,)

    def get_queryset(self) -> QuerySet[ApiKey]:
        return super().get_queryset().filter(user=self.request.user.pk)

    def get_serializer_class(self) -> Any:
        return IssuedKeySerializer if self.action == "create" else KeySerializer

    def perform_create(self, serializer: serializers.BaseSerializer[ApiKey]) -> None:
        if self.get_queryset().count() >= MOST_KEYS:
            raise Conflict(_("There are %d keys: delete one first.") % MOST_KEYS)
        row = ApiKey(user=self.request.user, **serializer.validated_data)  # type: ignore[misc]
        key = row.issue()
        row.save()
        serializer.instance = row
        row.key = key  # type: ignore[attr-defined]  # for this one answer
