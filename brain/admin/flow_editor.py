"""The form of a flow's new version: its steps as rows, checked while somebody writes them.

The steps travel as JSON in one text area, which is the form where scripts do not run.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from brain.admin.fields import HostsField
from brain.models import Flow
from queues.browser import scripts
from queues.browser.parsers import PARSERS

LARGEST = 256 * 1024  # letters of a script
# Of a step, in whatever language: "step 2 (fill): selector is required".
PLACE = re.compile(r"\w+ (\d+)(?: \(\w+\))?: (.*)", re.DOTALL)
ABOUT = ("organisation", "provider", "label", "title", "description", "inputs", "hosts")


class FlowForm(forms.ModelForm):
    hosts = HostsField(
        help_text=gettext_lazy(
            "Where a run may go besides its provider's hosts, one a line: *.example.com too."
        )
    )

    class Meta:
        model = Flow
        fields = ("hosts",)  # the others as the admin makes them

    def clean_inputs(self) -> dict[str, Any]:
        return self.cleaned_data["inputs"] or {}

    def clean_steps(self) -> Any:
        steps = self.cleaned_data["steps"]
        if len(scripts.canonical(steps)) > LARGEST:
            told = _("The steps have more than %(most)d letters.")
            raise forms.ValidationError(told % {"most": LARGEST})
        return steps

    def clean_label(self) -> str:
        """An author's number is of one version; ours counts by itself."""
        label = self.cleaned_data["label"]
        organisation = self.cleaned_data.get("organisation")
        versions = Flow.objects.filter(
            organisation=organisation, provider=self.cleaned_data.get("provider"), label=label
        )
        if label and organisation and versions.exists():
            text = _("There is such a version already, and versions never change: count up.")
            raise forms.ValidationError(text)
        return label


def initial_of(flow: Flow) -> dict[str, Any]:
    """What a new version of the flow begins with. Its author's number is to be counted up."""
    copied = {name: getattr(flow, name) for name in ("name", "steps", *ABOUT) if name != "label"}
    return {**copied, "organisation": flow.organisation_id, "provider": flow.provider_id}


def previewed(form: FlowForm) -> dict[str, Any]:
    """What the form would store as it stands: `script` to read and its hash, and what is wrong,
    by the numbers of the steps and in general."""
    of_steps: dict[int, list[str]] = {}
    others: list[str] = []
    for name in ("steps", "inputs", "hosts", "provider"):
        for message in map(str, form.errors.get(name, ())):
            if name == "steps" and (found := PLACE.fullmatch(message)):
                of_steps.setdefault(int(found[1]), []).append(found[2])
            else:
                others.append(message)
    steps = form.cleaned_data.get("steps") or _parsed(form.data.get("steps", ""))
    return {
        "script": json.dumps(steps, indent=2, sort_keys=True, ensure_ascii=False) if steps else "",
        "hash": scripts.sha256(scripts.canonical(steps)) if steps else "",
        "steps": of_steps,
        "others": list(dict.fromkeys(others)),
    }


def _parsed(text: str) -> list[Any] | None:
    """Steps that are not right yet; None where they are no list at all."""
    try:
        steps = json.loads(text[:LARGEST])
    except (ValueError, RecursionError):
        return None
    return steps if isinstance(steps, list) and steps else None


def vocabulary() -> dict[str, Any]:
    """What the page's script builds its rows from: the verbs with what they take, and the words
    of the reader's language."""
    return {
        "verbs": {name: asdict(verb) for name, verb in scripts.VERBS.items()},
        "errors": scripts.ERROR_CLASSES,
        "parsers": list(PARSERS),
        "longest": scripts.MOST_SECONDS,
        "flags": {
            "irrevocable": _("cannot be undone"),
            "confirms": _("proves that it went through"),
            "absent": _("must not be there"),
            "receipt": _("is the receipt"),
            "optional": _("may fail"),
        },
        "words": {
            "step": _("Step %(n)s"),
            "does": _("What it does"),
            "on": _("on what"),
            "add": _("Add a step"),
            "below": _("Add a step below"),
            "up": _("Move up"),
            "down": _("Move down"),
            "remove": _("Remove"),
            "more": _("If it fails"),
            "parts": _("one a line: name = selector"),
            "seconds": _("seconds"),
            "unknown": _("unknown here"),
            "json": _("As JSON"),
            "form": _("As a form"),
            "broken": _("This is no list of steps as JSON: it cannot be shown as a form."),
            "good": _("It can be saved."),
            "wrong": _("Not yet right: see below."),
            "silent": _("The server does not answer: what is shown may be old."),
            "moved": _("Step %(n)s moved"),
            "removed": _("Step %(n)s removed"),
        },
    }
