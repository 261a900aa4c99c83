"""One's own organisation and its people."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator_site import membership, verbs
from orchestrator_site.api.access import MemberPermission
from orchestrator_site.api.choices import ChoiceField
from orchestrator_site.api.errors import Conflict
from orchestrator_site.api.views import ErrorSerializer
from orchestrator_site.models import Event, Member, Organisation


class OrganisationSerializer(serializers.ModelSerializer[Organisation]):
    needsApproval = serializers.BooleanField(source="needs_approval", required=False)
    createdAt = serializers.DateTimeField(source="created_at", read_only=True)

    class Meta:
        model = Organisation
        fields = ("id", "name", "needsApproval", "createdAt")


class MemberSerializer(serializers.ModelSerializer[Member]):
    email = serializers.CharField(source="user.email")
    name = serializers.CharField(source="user.first_name")
    createdAt = serializers.DateTimeField(source="created_at")

    class Meta:
        model = Member
        fields = ("id", "email", "name", "role", "createdAt")
        read_only_fields = fields


class InviteeSerializer(serializers.Serializer[Any]):
    email = serializers.EmailField(max_length=150)
    role = ChoiceField(Member.Role.choices, default=Member.Role.MEMBER)

    def validate_email(self, email: str) -> str:
        if User.objects.filter(username__iexact=email).exists():
            raise serializers.ValidationError(_("There is a user with this address already."))
        return email.lower()


class InvitationSerializer(serializers.Serializer[Any]):
    """What the invited person registers with, at `auth/register`."""

    invitation = serializers.CharField()
    expiresAt = serializers.DateTimeField()


class OwnOrganisationView(APIView):
    permission_classes = (MemberPermission,)

    @extend_schema(responses=OrganisationSerializer)
    def get(self, request: Request) -> Response:
        """As it is now: who asks may be known from a moment ago."""
        row = Organisation.objects.get(pk=_place(request).organisation_id)
        return Response(OrganisationSerializer(row).data)

    @extend_schema(
        request=OrganisationSerializer,
        responses={200: OrganisationSerializer, 403: ErrorSerializer},
    )
    def patch(self, request: Request) -> Response:
        """Its name, and whether its flows need a second person: for owners."""
        row = _owned(request).organisation
        given = OrganisationSerializer(row, data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        before = {name: getattr(row, name) for name in given.validated_data}
        given.save()
        if before:
            changed = {"before": before, "now": given.validated_data}
            Event.record([row], "", "changed", data=changed)
        return Response(OrganisationSerializer(row).data)


class MemberViewSet(
    mixins.ListModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet[Member]
):
    """The people of one's own organisation. Owners invite and remove."""

    queryset = Member.objects.filter(user__is_active=True).select_related("user")
    serializer_class = MemberSerializer
    permission_classes = (MemberPermission,)

    def get_queryset(self) -> QuerySet[Member]:
        return super().get_queryset().filter(organisation=_place(self.request).organisation_id)

    @extend_schema(
        request=InviteeSerializer,
        responses={201: InvitationSerializer, 403: ErrorSerializer},
    )
    def create(self, request: Request) -> Response:
        """Invite somebody: the answer is for that person, and good for seven days."""
        organisation = _owned(request).organisation
        given = InviteeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        invitation = {
            "invitation": membership.invite(organisation, **given.validated_data),
            "expiresAt": timezone.now() + membership.INVITATION_LIFE,
        }
        return Response(InvitationSerializer(invitation).data, status=201)

    @extend_schema(responses={204: None, 403: ErrorSerializer, 409: ErrorSerializer})
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Shut somebody out: no login, no keys, no sessions."""
        _owned(request)
        try:
            membership.remove(self.get_object())
        except verbs.Refused as error:
            raise Conflict(str(error)) from error
        return Response(status=204)


def _place(request: Request) -> Member:
    """The asking member's; the permission has seen that there is one."""
    place: Member = request.user.membership  # type: ignore[union-attr]
    return place


def _owned(request: Request) -> Member:
    """Raises PermissionDenied where the asking member is no owner."""
    place = _place(request)
    if place.role != Member.Role.OWNER:
        raise PermissionDenied(_("This is for the owners of the organisation."))
    return place
