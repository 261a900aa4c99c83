"""A version of an organisation's flow that is to be: all that is wrong with it, told at once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

from django.utils.translation import gettext as _

from brain.rules.hosts import Network, host_problems, step_problems
from brain.rules.inputs import declaration_problems, placeholder_problems
from orchestrator_site.sentences import told
from queues.browser import scripts
from queues.browser.scripts import Step

_STRANGE = re.compile(r"[^\w.-]+")  # what a run replaces in the names of its files


def version_problems(
    steps: Any,
    inputs: Any,
    hosts: Any,
    known_hosts: Sequence[str] | None,
    networks: Sequence[Network],
) -> dict[str, list[str]]:
    """By `steps`, `inputs` and `hosts`, each text with its place. `known_hosts`: its provider's;
    None where there is no provider, and so nothing to compare addresses with."""
    found = {
        "steps": list(_step_texts(steps, inputs, hosts, known_hosts)),
        "inputs": declaration_problems(inputs),
        "hosts": host_problems(hosts, networks),
    }
    return {name: texts for name, texts in found.items() if texts}


def _step_texts(
    steps: Any, inputs: Any, hosts: Any, known_hosts: Sequence[str] | None
) -> Iterator[str]:
    try:
        scripts.validate(steps)
    except scripts.InvalidSteps as error:
        yield from map(told, error.messages)
    if not isinstance(steps, list):
        return
    # What is no step has been told of, and keeps its number.
    shaped = [step if isinstance(step, dict) else {} for step in steps]
    yield from sequence_problems(shaped)
    if isinstance(inputs, dict):
        yield from placeholder_problems(inputs, shaped)
    if known_hosts is not None:
        declared = [one for one in hosts if isinstance(one, str)] if isinstance(hosts, list) else []
        yield from step_problems(shaped, [*known_hosts, *declared])


def sequence_problems(steps: Sequence[Step]) -> Iterator[str]:
    """Steps that would find nothing where they stand: no page, or no file."""
    if steps and steps[0].get("do") in scripts.VERBS and steps[0]["do"] != "navigate":
        problem = _("the first step must open a page, with navigate")
        yield told(f"{scripts.place(1, steps[0])}: {problem}")
    for number, step in enumerate(steps, 1):
        name = step.get("file") if step.get("do") == "parse" else None
        if isinstance(name, str) and not _is_downloaded(name, steps[: number - 1]):
            problem = _("no step before it downloads %(name)s") % {"name": name}
            yield told(f"{scripts.place(number, step)}: {problem}")


def _is_downloaded(file: str, before: Sequence[Step]) -> bool:
    """Whether the file may be there. Where the site or an input gives the name, nobody knows."""
    if "{{" in file or any(step.get("do") == "download_all" for step in before):
        return True
    names = [str(step.get("name", "")) for step in before if step.get("do") == "download"]
    if any("{{" in name for name in names):
        return True
    places, wanted = set(_places(names)), _stored(file)
    # A step that names no kind of file leaves that to the site.
    return wanted in places or PurePath(wanted).stem in places


def _places(names: Sequence[str]) -> Iterator[str]:
    """What a run calls the files that steps of these names download."""
    seen: Counter[str] = Counter()
    for name in map(_stored, names):
        seen[name] += 1
        path = PurePath(name)
        yield name if seen[name] == 1 else f"{path.stem}-{seen[name]}{path.suffix}"


def _stored(name: str) -> str:
    return _STRANGE.sub("_", name).strip("._-")
