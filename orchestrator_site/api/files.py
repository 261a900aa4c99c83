"""Stored files, handed out so that no browser runs them as a page of ours."""

from __future__ import annotations

from django.core.files.storage import Storage, default_storage
from django.http import FileResponse, Http404

# What a browser may show in place; all else is downloaded.
SHOWN = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".pdf": "application/pdf",
    ".log": "text/plain; charset=utf-8",
}


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
