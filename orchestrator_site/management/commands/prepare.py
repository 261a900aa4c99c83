"""Make a fresh machine ready: database, first login, demo world."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import ProgrammingError

from brain import signing
from orchestrator_site import row_security
from orchestrator_site.demo import seeding
from queues.browser.signing import SecretRefused


class Command(BaseCommand):
    help = "Migrate, make the first login, fill the demo world. Harmless to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        port = str(settings.PORT)
        parser.add_argument("--port", default=port, help="the web's port, for what is printed")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.DEMO and not settings.ORIGIN_IS_EMBEDDED:
            raise CommandError("The demo's cases stay away from a real origin. Set DEMO=false.")
        call_command("migrate", verbosity=0)
        try:
            signing.sign_unsigned()
        except SecretRefused as error:
            raise CommandError(str(error)) from error
        _build_walls()
        if settings.DEMO:
            seeding.seed()
            seeding.seed_distribution(f"http://127.0.0.1:{options['port']}")
            seeding.seed_people()
            seeding.seed_complaints()
        self._tell(options["port"])

    def _tell(self, port: str) -> None:
        line = "-" * 72
        self.stdout.write(line)
        self.stdout.write("  Ready for `manage.py start` (`make run`), which serves:")
        self.stdout.write(f"  Control room   http://127.0.0.1:{port}/")
        self.stdout.write(f"  {_first_login()}")
        if settings.DEMO:
            self.stdout.write(f"  Demo world     {settings.DEMO_WORLD_URL}/sede/xaloc/")
        self.stdout.write(line)


def _build_walls() -> None:
    """By the owner of the tables; whoever else prepares finds nothing left to do."""
    try:
        row_security.build()
    except ProgrammingError as error:
        raise CommandError(
            f"ROW_LEVEL_SECURITY is to be {settings.ROW_LEVEL_SECURITY}, which the owner of the"
            f" tables has to do: run `prepare` once with its DATABASE_URL. {error}"
        ) from error


def _first_login() -> str:
    """The administrator's login; its password is kept beside the database until it is changed."""
    path = Path(settings.DATA_DIR) / "admin-password"
    user = User.objects.filter(is_superuser=True).order_by("pk").first()
    if user is None:
        password = secrets.token_urlsafe(9)
        path.touch(mode=0o600)
        path.write_text(password)
        os.chmod(path, 0o600)
        user = User.objects.create_superuser("admin", password=password)
    if path.exists() and user.check_password(path.read_text()):
        return f"Login          {user.get_username()} / {path.read_text()}"
    return f"Login          {user.get_username()}, with the password you gave it"
