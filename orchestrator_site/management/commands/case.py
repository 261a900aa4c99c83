"""One case across all systems, in the shell: by any of its names."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from orchestrator_site.commands import ActingCommand
from orchestrator_site.dashboard.case import archive, finding
from orchestrator_site.dashboard.case.api import as_dict
from orchestrator_site.dashboard.case.facts import plain
from orchestrator_site.dashboard.case.story import NoSuchCase, Story, anything, read

EVENTS = 200


class Command(ActingCommand):
    help = (
        "Tell everything of a case. It is found by its id, a case number, an idRecurso, a CURP,"
        " a radicado, a task, a job, a message or a file."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("text")
        parser.add_argument("--zip", type=Path, metavar="FILE", help="write it all into a zip")

    def handle(self, *args: Any, **options: Any) -> None:
        found = finding.find(options["text"], anything)
        cases = list(dict.fromkeys(one.case_id for one in found if one.case_id))
        if not cases:
            raise CommandError(f"Nothing is called {options['text']!r}.")
        if len(cases) > 1:
            self._choose(found, options["json"])
            raise CommandError(f"{len(cases)} cases are meant by it: name one by its id.")
        story = _story(cases[0])
        if options["zip"]:
            self._zip(story, options["zip"], options["json"])
        elif options["json"]:
            self.put_json(story.as_dict())
        else:
            self._tell(story)

    def _choose(self, found: list[finding.Found], as_json: bool) -> None:
        if as_json:
            self.put_json([as_dict(one) for one in found])
            return
        lines = [(one.case_id, one.kind_title, one.title) for one in found if one.case_id]
        self.put_table("", ("case", "kind", "name"), lines)

    def _zip(self, story: Story, path: Path, as_json: bool) -> None:
        try:
            with path.open("xb") as file:
                for piece in archive.pieces(story):
                    file.write(piece)
        except archive.TooLarge as error:
            path.unlink()
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}.") from error
        size = path.stat().st_size
        if as_json:
            self.put_json({"case": str(story.case_id), "file": str(path), "size": size})
        else:
            self.stdout.write(f"{path}: {size} bytes")

    def _tell(self, story: Story) -> None:
        told = story.told
        state = f" ({told.state.text})" if told.state else ""
        self.stdout.write(f"{told.kind_title} {told.title}{state}\n{story.case_id}")
        if story.summary:
            self.stdout.write(story.summary)
        if told.hops:
            lines = [(hop.title, hop.word, _clock(hop.at), hop.note) for hop in told.hops]
            self.put_table("The way", ("hop", "", "at", "note"), lines)
        for section in told.sections:
            facts = [(title, plain(value)) for title, value in section.shown_facts]
            if facts:
                self.put_table(section.title, ("", ""), facts)
            for table in section.shown_tables:
                rows = [[plain(value) for _title, value in line] for line in table.lines]
                self.put_table(section.title, list(table.heads.values()), rows)
        if story.files:
            files = [(file.kind, file.name, file.size) for file in story.files]
            self.put_table("Files", ("kind", "name", "bytes"), files)
        if story.events:
            events = [
                (_clock(one.event.at), one.kind, one.change, one.reason, one.actor)
                for one in story.events.lines
            ]
            self.put_table("What happened", ("at", "what", "change", "reason", "by"), events)


def _story(case_id: UUID) -> Story:
    try:
        return read(case_id, oldest_first=True, most=EVENTS)
    except NoSuchCase as error:
        raise CommandError(f"Nothing is known of the case {case_id}.") from error


def _clock(at: Any) -> str:
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S") if at else ""
