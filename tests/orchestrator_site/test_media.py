"""Stored files are handed out to whoever may see their rows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client

from brain.models import ClientAuthorisation

pytestmark = pytest.mark.django_db


def test_a_paper_s_link_in_the_admin_shows_the_paper(signed_in: Callable[[str], Client]) -> None:
    paper = ContentFile(b"%PDF-1.4 paper", "paper.pdf")
    row = ClientAuthorisation.objects.create(numclient=7, file=paper)
    client = signed_in("viewer")
    assert row.file.url in client.get("/admin/brain/clientauthorisation/").content.decode()
    answer = client.get(row.file.url)
    assert b"".join(answer) == b"%PDF-1.4 paper"
    assert answer["Content-Type"] == "application/pdf"


def test_without_the_right_or_the_login_there_is_no_paper(
    client: Client, django_user_model: type
) -> None:
    row = ClientAuthorisation.objects.create(numclient=7, file=ContentFile(b"%PDF", "p.pdf"))
    assert client.get(row.file.url).status_code == 302
    client.force_login(django_user_model.objects.create_user("nobody", is_staff=True))
    assert client.get(row.file.url).status_code == 403


@pytest.mark.parametrize("path", ["secret.key", "doctor/probe.txt", "authorisations/../secret.key"])
def test_no_other_file_is_handed_out(signed_in: Callable[[str], Client], path: str) -> None:
    default_storage.save("doctor/probe.txt", ContentFile(b"x"))
    assert signed_in("admin").get(f"/media/{path}").status_code == 404
