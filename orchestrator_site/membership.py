"""How people come into an organisation, and leave it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group, User
from django.core import signing
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orchestrator_site import roles
from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.models import ApiKey, Event, Member, Organisation
from orchestrator_site.models.api_key import LOGIN
from orchestrator_site.verbs import Refused, Verb

LOGIN_LIFE = timedelta(hours=12)
INVITATION_LIFE = timedelta(days=7)
_SALT = "invitation"
_AT_LEAVING: list[Callable[[User], None]] = []


class InvitationRefused(Refused):
    """The invitation is not ours, was changed, is too old, or is for somebody else."""


def when_leaving(*functions: Callable[[User], None]) -> None:
    """An app says what else ends when a user leaves; done when the app is ready."""
    _AT_LEAVING.extend(functions)


def start(organisation: str, **person: str) -> Member:
    """A new organisation of this name with its first owner. `person`: email, password, name."""
    with transaction.atomic():
        return _join(Organisation.objects.create(name=organisation), Member.Role.OWNER, **person)


def invite(organisation: Organisation, email: str, role: str) -> str:
    """What the person of this address registers with. It is good for one registration, since an
    address has one user."""
    invitation = {"organisation": str(organisation.pk), "email": email, "role": role}
    return signing.dumps(invitation, salt=_SALT)


def accept(invitation: str, **person: str) -> Member:
    """Register in the organisation that invites. Raises InvitationRefused."""
    try:
        meant = signing.loads(invitation, salt=_SALT, max_age=INVITATION_LIFE)
    except signing.BadSignature as error:
        raise InvitationRefused(_("The invitation is not valid (any more).")) from error
    organisation = Organisation.objects.filter(pk=meant["organisation"], active=True).first()
    if organisation is None or meant["email"] != person["email"]:
        raise InvitationRefused(_("The invitation is for another address."))
    with transaction.atomic():
        return _join(organisation, meant["role"], **person)


def remove(member: Member, reason: str = "") -> bool:
    """Shut a member out: no login, no keys, no sessions. Its row stays, so that its user never
    counts as our own staff. False: it was done already. Raises Refused for the last owner."""
    with transaction.atomic():
        others = list(_there(member.organisation).select_for_update())
        if all(one.role != Member.Role.OWNER for one in others if one.pk != member.pk):
            raise Refused(_("An organisation needs an owner: this is the last one."))
        if not User.objects.filter(pk=member.user_id, is_active=True).update(is_active=False):
            return False
        ApiKey.objects.filter(user=member.user_id).delete()
        for leave in _AT_LEAVING:
            leave(member.user)
        Event.record([member], "member", "removed", reason)
    return True


def log_in(user: User) -> tuple[str, ApiKey]:
    """A key for as long as a login lasts. Those that have run out go with it."""
    now = timezone.now()
    ApiKey.objects.filter(user=user, name=LOGIN, expires_at__lte=now).delete()
    row = ApiKey(name=LOGIN, user=user, scope=ApiKey.Scope.ADMIN, expires_at=now + LOGIN_LIFE)
    key = row.issue()
    row.save()
    return key, row


def _join(organisation: Organisation, role: str, *, email: str, password: str, name: str) -> Member:
    user = User.objects.create_user(email, email=email, password=password, first_name=name)
    user.groups.add(Group.objects.get(name=roles.MEMBER))
    member = Member.objects.create(organisation=organisation, user=user, role=role)
    with acting_as(ActorKind.USER, user.get_username()):
        Event.record([member], "", "member")
    return member


def _there(organisation: Organisation) -> Any:
    return organisation.members.filter(user__is_active=True)


# --- What staff do ------------------------------------------------------------------------------


def _remove(member: Member, reason: str) -> bool:
    return remove(member, reason)


MEMBER_VERBS = (
    Verb(
        "remove",
        gettext_lazy("Remove"),
        gettext_lazy(
            "The person cannot sign in any more; its keys and its sessions at providers end."
        ),
        _remove,
        lambda member: member.user.is_active,
        icon="person_remove",
        is_dangerous=True,
    ),
)
