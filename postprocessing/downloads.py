"""The file of a row of the registry, handed out from wherever it is kept."""

from __future__ import annotations

from django.core.files.storage import storages
from django.http import Http404, HttpResponseBase, HttpResponseRedirect
from django.utils.translation import gettext as _

from orchestrator_site.api.files import stored_file
from postprocessing import objects
from postprocessing.models import S3File

STORAGE = "pqr"


def handed_out(row: S3File) -> HttpResponseBase:
    """The bucket is asked through an address that is good for some minutes; what was simulated is
    kept on this machine. Raises Http404 where the file is in neither."""
    store = objects.store()
    if row.status in S3File.THERE and not store.is_simulated:
        return HttpResponseRedirect(_signed(store, row.s3_key))
    if row.status == S3File.Status.SIMULATED and store.is_simulated:
        return stored_file(row.s3_key, storages[STORAGE])
    raise Http404(_("The file was not uploaded, or not to where uploads go now."))


def _signed(store: objects.ObjectStore, key: str) -> str:
    try:
        return store.signed_url(key)
    except objects.ObjectError as error:
        raise Http404(str(error)) from error
