"""Stored files, handed out so that no browser runs them as a page of ours."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.core.files.storage import Storage, default_storage
from django.http import FileResponse, Http404
from django.urls import reverse
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

# What a browser may show in place; all else is downloaded.
SHOWN = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".pdf": "application/pdf",
    ".log": "text/plain; charset=utf-8",
}


LINK_LIFE = timedelta(minutes=5)
_SALT = "stored file"


def link(request: Request, path: str) -> str:
    """An address of the file in the default storage that needs no key, for a while: that of the
    object store, or one of ours where files are on this machine's disk."""
    if settings.AWS_ACCESS_KEY_ID:
        return default_storage.url(path)
    signed = signing.dumps(path, salt=_SALT)
    return request.build_absolute_uri(reverse("api-file", args=[signed]))


class SignedFileView(APIView):
    """A file by an address that `link` made."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY}, auth=[])
    def get(self, request: Request, signed: str) -> FileResponse:
        """The file itself, for as long as its address lasts."""
        try:
            path = signing.loads(signed, salt=_SALT, max_age=LINK_LIFE)
        except signing.BadSignature as error:
            raise Http404 from error
        return stored_file(path)


def stored_file(path: str, storage: Storage = default_storage) -> FileResponse:
    """The file of that name in the storage. Raises Http404 where it is gone."""
    try:
        file = storage.open(path, "rb")
    except OSError as error:
        raise Http404 from error
    kind = SHOWN.get(path[path.rfind(".") :].lower())
    response = FileResponse(
        file,
        as_attachment=kind is None,
        filename=path.rpartition("/")[2],
        content_type=kind or "application/octet-stream",
    )
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response
