"""The demo world, visited as a browser without JavaScript would."""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urljoin

import pytest
import requests
from django.core.management import CommandError, call_command

from orchestrator_site.demo.origin import create_origin
from orchestrator_site.demo.world import books, cases, drafts, faults, madrid, store
from orchestrator_site.demo.world.pdf import pdf
from tests.world import EMAIL, PASSWORD, World, world, world_files, world_url

__all__ = ["world", "world_files", "world_url"]

EXPEDIENTE = "2025/160585-MUL"
WHAT = {"asunto": "Alegaciones", "expone": "Que no fui yo (ñ).", "solicita": "El archivo."}
WHO = {
    "xaloc": {"expediente": EXPEDIENTE, "numclient": "77", "nombre": "Ana Puig"},
    "madrid": {"expediente": EXPEDIENTE, "interesado": "Ana Puig", "fase": "denuncia"},
}
FILES = {"xaloc": "documentos", "madrid": "fichero"}
PDF = pdf(["Recurso"])


@dataclass
class Visitor:
    """A browser without JavaScript: one page at a time, its form and its links."""

    session: requests.Session = field(default_factory=requests.Session)
    page: requests.Response = field(init=False)

    def open(self, url: str, **params: str) -> Visitor:
        self.page = self.session.get(url, params=params, timeout=10)
        return self

    def submit(self, files: Any = None, **values: str) -> Visitor:
        """Send the page's form with these values."""
        action = re.search(r'<form[^>]*action="([^"]+)"', self.page.text)
        assert action, self.page.text
        url = urljoin(self.page.url, unescape(action[1]))
        self.page = self.session.post(url, data=values, files=files, timeout=10)
        return self

    def text(self, id: str) -> str:
        """The text of the element with this id, "" without one."""
        found = re.search(rf'id="{id}"[^>]*>([^<]*)<', self.page.text)
        return unescape(found[1]) if found else ""

    @property
    def error(self) -> str:
        """The id of the error that is shown."""
        found = re.search(r'class="error" id="([^"]+)"', self.page.text)
        return found[1] if found else ""


def upload(site: str, *names: str) -> list[tuple[str, tuple[str, bytes]]]:
    return [(FILES[site], (name, PDF)) for name in names]


def at_documents(world: World, site: str, **who: str) -> Visitor:
    """A visitor with everything filled in up to the documents."""
    visitor = Visitor().open(first_page(world, site))
    visitor.submit(**{**WHO[site], **who})
    return visitor.submit(**WHAT) if site == "xaloc" else visitor


def ready_to_send(world: World, site: str, **who: str) -> Visitor:
    visitor = at_documents(world, site, **who)
    return visitor.submit(upload(site, "recurso.pdf"), **({} if site == "xaloc" else WHAT))


def first_page(world: World, site: str) -> str:
    return f"{world.url}/sede/{site}/" + ("tramite/" if site == "madrid" else "")


def send(visitor: Visitor) -> Visitor:
    """Press the last button, and wait until the registry is through."""
    visitor.submit(acepto="on")
    for _ in range(20):
        if not visitor.page.url.endswith("/enviando") or visitor.page.status_code != 200:
            break
        time.sleep(0.05)
        visitor.open(visitor.page.url)
    return visitor


both = pytest.mark.parametrize("site", ["xaloc", "madrid"])


# --- The sites --------------------------------------------------------------------------------


def test_it_is_up(world: World) -> None:
    answer = requests.get(f"{world.url}/_up", timeout=5)
    assert (answer.status_code, answer.text) == (200, "ok")


def test_an_appeal_at_xaloc_from_the_link_to_the_receipt(world: World) -> None:
    visitor = Visitor().open(f"{world.url}/sede/xaloc/", Expedient=EXPEDIENTE)
    assert f'value="{EXPEDIENTE}"' in visitor.page.text
    visitor.submit(**WHO["xaloc"]).submit(**WHAT)
    visitor.submit(upload("xaloc", "a.pdf", "b.pdf"), adjuntar="1")
    assert visitor.page.text.count('class="documento"') == 2
    visitor.submit(upload("xaloc", "c.pdf"))
    assert visitor.text("resumen-expone") == WHAT["expone"]
    assert books.filings() == []
    visitor.submit()

    (filing,) = books.filings("xaloc")
    assert visitor.text("numero-registro") == filing.registry_number
    assert dict(filing.fields) == {**WHO["xaloc"], **WHAT}
    assert [file.name for file in filing.files] == ["a.pdf", "b.pdf", "c.pdf"]
    assert filing.files[0].sha256 == hashlib.sha256(PDF).hexdigest()
    assert filing.files[0].size == len(PDF)
    check_receipt(visitor, filing)


def test_an_appeal_at_madrid_from_the_cover_to_the_receipt(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(madrid, "REGISTERING", timedelta(seconds=1))  # to see it wait
    visitor = Visitor().open(f"{world.url}/sede/madrid/", Expedient=EXPEDIENTE)
    link = re.search(r'id="mad-iniciar" href="([^"]+)"', visitor.page.text)
    assert link
    visitor.open(urljoin(visitor.page.url, unescape(link[1])))
    assert f'value="{EXPEDIENTE}"' in visitor.page.text
    visitor.submit(**WHO["madrid"]).submit(upload("madrid", "a.pdf"), **WHAT)
    visitor.submit(acepto="on")
    assert visitor.text("mad-espera").startswith("Estamos registrando")
    send_page = visitor.page.url
    time.sleep(1)
    visitor.open(send_page)

    (filing,) = books.filings("madrid")
    assert visitor.text("mad-registro") == filing.registry_number
    assert dict(filing.fields) == {**WHO["madrid"], "referencia": "", **WHAT}
    check_receipt(visitor, filing)


def check_receipt(visitor: Visitor, filing: books.Filing) -> None:
    link = re.search(r'(?:href|action)="([^"]+/justificante)"', visitor.page.text)
    assert link
    receipt = visitor.open(urljoin(visitor.page.url, link[1])).page
    assert receipt.headers["Content-Type"] == "application/pdf"
    assert receipt.headers["Content-Disposition"].startswith("attachment; filename=")
    assert receipt.content.startswith(b"%PDF-1.4")
    assert filing.registry_number.encode() in receipt.content
    assert filing.expediente.encode() in receipt.content


@both
@pytest.mark.parametrize("expediente", ["2025-160585-MUL", "160585", "2025/160585-MUL2"])
def test_an_expediente_in_another_format_is_unknown(
    world: World, site: str, expediente: str
) -> None:
    visitor = Visitor().open(first_page(world, site))
    visitor.submit(**{**WHO[site], "expediente": expediente})
    assert visitor.error == "error-expediente"
    assert f'value="{expediente}"' in visitor.page.text


@both
def test_an_expediente_that_the_demo_data_marks_is_late(world: World, site: str) -> None:
    world.add_case(1, Expedient=EXPEDIENTE, notas="Llegó FUERA DE PLAZO")
    visitor = Visitor().open(first_page(world, site)).submit(**WHO[site])
    assert visitor.error == "error-plazo"


@both
def test_an_organism_does_without_the_intranets_database(world: World, site: str) -> None:
    world.origin.unlink()
    assert send(ready_to_send(world, site)).page.status_code == 200
    assert len(books.filings(site)) == 1


@both
def test_what_is_left_empty_is_asked_for(world: World, site: str) -> None:
    visitor = Visitor().open(first_page(world, site))
    assert visitor.submit(expediente=EXPEDIENTE).error == "error-campos"
    visitor.submit(**WHO[site]).submit(asunto="Alegaciones", expone=" ")
    assert visitor.error == "error-campos"


def test_madrid_wants_a_document_and_the_acceptance(world: World) -> None:
    visitor = at_documents(world, "madrid").submit(**WHAT)
    assert visitor.error == "error-documentos"
    visitor.submit(upload("madrid", "a.pdf"), **WHAT).submit()
    assert visitor.error == "error-acepto"
    assert books.filings() == []


def test_xaloc_takes_an_appeal_without_documents(world: World) -> None:
    at_documents(world, "xaloc").submit().submit()
    assert [filing.files for filing in books.filings()] == [()]


@both
def test_a_step_cannot_be_skipped(world: World, site: str) -> None:
    key = drafts.start(site, WHO[site])
    last = {"xaloc": "revision", "madrid": "firma"}[site]
    visitor = Visitor().open(f"{world.url}/sede/{site}/tramite/{key}/{last}")
    assert 'name="expone"' in visitor.page.text
    requests.post(f"{world.url}/sede/{site}/tramite/{key}/{last}", {"acepto": "on"}, timeout=5)
    assert books.filings() == []


@both
def test_pages_of_drafts_that_are_not_there(world: World, site: str) -> None:
    other = drafts.start({"xaloc": "madrid", "madrid": "xaloc"}[site], {})
    unsent = drafts.start(site, WHO[site])
    for key in ("nada", other):
        for step in ("justificante", "confirmacion", "acuse", "revision", "firma", "solicitud"):
            url = f"{world.url}/sede/{site}/tramite/{key}/{step}"
            assert requests.get(url, timeout=5).status_code == 404
    url = f"{world.url}/sede/{site}/tramite/{unsent}/justificante"
    assert requests.get(url, timeout=5).status_code == 404


# --- Sent exactly once ------------------------------------------------------------------------


@both
def test_a_form_that_is_sent_twice_is_one_filing(world: World, site: str) -> None:
    visitor = ready_to_send(world, site)
    url = visitor.page.url
    numbers = set()
    for _ in range(2):
        visitor.open(url)
        if "form" in visitor.page.text and visitor.page.url == url:
            send(visitor)
        numbers.add(visitor.text("numero-registro") or visitor.text("mad-registro"))
    assert numbers == {filing.registry_number for filing in books.filings()}
    assert len(books.filings()) == 1


@both
def test_a_form_that_is_sent_from_many_windows_is_one_filing(world: World, site: str) -> None:
    url = ready_to_send(world, site).page.url
    with ThreadPoolExecutor(12) as pool:
        answers = list(
            pool.map(lambda _: requests.post(url, {"acepto": "on"}, timeout=20), range(12))
        )
    assert {answer.status_code for answer in answers} == {200}
    assert len(books.filings(site)) == 1


@both
def test_a_form_that_is_sent_cannot_be_filled_in_again(world: World, site: str) -> None:
    visitor = ready_to_send(world, site)
    last = visitor.page.url
    send(visitor)
    step, end = {
        "xaloc": ("alegaciones", "confirmacion"),
        "madrid": ("solicitud", "acuse"),
    }[site]
    for url in (last, f"{last.rsplit('/', 1)[0]}/{step}"):
        assert requests.get(url, timeout=5).url.endswith(f"/{end}")
        assert requests.post(url, {**WHAT, "asunto": "otro"}, timeout=5).url.endswith(f"/{end}")


def test_a_second_form_for_the_same_case_is_a_second_filing(world: World) -> None:
    for _ in range(2):
        send(ready_to_send(world, "xaloc"))
    assert len(books.filings("xaloc", EXPEDIENTE)) == 2
    assert books.filings("madrid") == []
    assert len({filing.registry_number for filing in books.filings()}) == 2


def test_many_visitors_at_once(world: World) -> None:
    def file(number: int) -> None:
        send(ready_to_send(world, "xaloc", expediente=f"2025/{number:06d}-MUL"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(file, range(24)))
    filed = [filing.expediente for filing in books.filings()]
    assert sorted(filed) == [f"2025/{number:06d}-MUL" for number in range(24)]


def test_the_books_are_made_once_however_many_open_them_first(world: World) -> None:
    start = threading.Barrier(8)

    def enter(number: int) -> str:
        start.wait()
        return drafts.start("xaloc", {"expediente": str(number)})

    for _ in range(10):
        shutil.rmtree(store.path().parent, ignore_errors=True)
        with ThreadPoolExecutor(8) as pool:
            keys = list(pool.map(enter, range(8)))
        assert all(drafts.read(key) for key in keys)
        assert [file.name for file in store.path().parent.iterdir()] == ["filings.sqlite3"]


def test_the_books_can_be_emptied(world: World) -> None:
    send(ready_to_send(world, "xaloc"))
    (first,) = books.filings()
    books.clear()
    assert books.filings() == []
    send(ready_to_send(world, "xaloc"))
    assert books.filings()[0].id > first.id


# --- Faults -----------------------------------------------------------------------------------


@both
def test_the_organism_refuses(world: World, site: str) -> None:
    faults.set_fault(site, "refused", expediente=EXPEDIENTE)
    assert send(ready_to_send(world, site)).error == "error-rechazo"
    assert books.filings() == []
    send(ready_to_send(world, site, expediente="2025/000001-MUL"))
    assert [filing.expediente for filing in books.filings()] == ["2025/000001-MUL"]


@both
def test_the_receipt_is_lost_and_found_again(world: World, site: str) -> None:
    faults.set_fault(site, "lost_receipt", times=1)
    visitor = send(ready_to_send(world, site))
    link = re.search(r'(?:href|action)="([^"]+/justificante)"', visitor.page.text)
    assert link
    url = urljoin(visitor.page.url, link[1])
    assert [requests.get(url, timeout=5).status_code for _ in range(2)] == [500, 200]


@both
def test_the_site_dies_after_it_took_the_appeal_in(world: World, site: str) -> None:
    faults.set_fault(site, "die_after_send", times=1)
    assert send(ready_to_send(world, site)).page.status_code == 500
    assert len(books.filings(site)) == 1


@both
def test_the_line_breaks_after_the_site_took_the_appeal_in(world: World, site: str) -> None:
    faults.set_fault(site, "die_after_send", value="cut")
    visitor = ready_to_send(world, site)
    with pytest.raises(requests.RequestException):
        visitor.submit(acepto="on")
    assert len(books.filings(site)) == 1


@both
def test_an_error_page_for_the_first_hits(world: World, site: str) -> None:
    faults.set_fault(site, "error500", times=2)
    url = first_page(world, site)
    assert [requests.get(url, timeout=5).status_code for _ in range(3)] == [500, 500, 200]


@both
def test_a_fault_of_one_expediente_leaves_the_others_alone(world: World, site: str) -> None:
    faults.set_fault(site, "error500", expediente=EXPEDIENTE)
    url = first_page(world, site)
    assert requests.get(url, {"Expedient": EXPEDIENTE}, timeout=5).status_code == 500
    assert requests.get(url, {"Expedient": "2025/000001-MUL"}, timeout=5).status_code == 200
    key = drafts.start(site, WHO[site])
    step = {"xaloc": "alegaciones", "madrid": "solicitud"}[site]
    draft_url = f"{world.url}/sede/{site}/tramite/{key}/{step}"
    assert requests.get(draft_url, timeout=5).status_code == 500


def test_a_fault_of_one_site_leaves_the_others_alone(world: World) -> None:
    faults.set_fault("xaloc", "error500")
    assert requests.get(first_page(world, "madrid"), timeout=5).status_code == 200


@both
@pytest.mark.parametrize("fault", ["error500", "logged_out", "changed_page", "cut"])
def test_a_fault_can_be_limited_to_a_step(world: World, site: str, fault: str) -> None:
    step = {"xaloc": "revision", "madrid": "firma"}[site]
    faults.set_fault(site, fault, value=step)
    if fault == "cut":
        with pytest.raises(requests.RequestException):
            ready_to_send(world, site)
        return
    visitor = ready_to_send(world, site)
    shown = {
        "error500": visitor.page.status_code == 500,
        "logged_out": 'id="login-form"' in visitor.page.text,
        "changed_page": re.search(r'id="v2-(mad-)?enviar"', visitor.page.text) is not None,
    }
    assert [name for name, is_shown in shown.items() if is_shown] == [fault]


@both
def test_the_login_page_in_place_of_the_form(world: World, site: str) -> None:
    faults.set_fault(site, "logged_out", times=1)
    visitor = Visitor().open(first_page(world, site))
    assert 'type="password"' in visitor.page.text and 'id="clave"' in visitor.page.text
    assert 'name="expediente"' in visitor.open(first_page(world, site)).page.text


@both
def test_a_changed_page_has_other_ids_and_still_works(world: World, site: str) -> None:
    faults.set_fault(site, "changed_page")
    visitor = Visitor().open(first_page(world, site))
    assert re.search(r'id="v2-(mad-)?expediente"', visitor.page.text)
    assert not re.search(r'id="(mad-)?expediente"', visitor.page.text)
    assert visitor.submit(**WHO[site]).page.status_code == 200


@pytest.mark.parametrize("site", faults.SITES)
def test_a_slow_site_and_a_slow_world(world: World, site: str) -> None:
    url = f"{world.intranet}/login" if site == "intranet" else first_page(world, site)
    assert elapsed(url) < 0.6
    faults.set_fault(site, "slow", times=1, value="0.6")
    assert elapsed(url) >= 0.6
    assert elapsed(url) < 0.6
    faults.set_latency(0.6)
    assert elapsed(url) >= 0.6
    faults.clear()
    assert elapsed(url) < 0.6


def elapsed(url: str) -> float:
    started = time.monotonic()
    requests.get(url, timeout=5)
    return time.monotonic() - started


def test_faults_are_listed_replaced_used_up_and_cleared(world: World) -> None:
    faults.set_fault("xaloc", "refused", times=1)
    faults.set_fault("xaloc", "refused", times=2, value="x")
    faults.set_fault("madrid", "slow", value="1")
    assert faults.active() == [
        faults.Fault("xaloc", "refused", times=2, value="x"),
        faults.Fault("madrid", "slow", value="1"),
    ]
    assert [faults.hit("xaloc", "refused") for _ in range(3)] == ["x", "x", None]
    assert [fault.site for fault in faults.active()] == ["madrid"]
    faults.clear("xaloc")
    assert len(faults.active()) == 1
    faults.clear()
    assert faults.active() == []


def test_an_expedientes_own_fault_goes_before_the_one_for_all(world: World) -> None:
    faults.set_fault("xaloc", "slow", value="1")
    faults.set_fault("xaloc", "slow", expediente=EXPEDIENTE, value="2")
    assert faults.hit("xaloc", "slow", EXPEDIENTE) == "2"
    assert faults.hit("xaloc", "slow", "otro") == "1"


@pytest.mark.parametrize(
    ("site", "fault", "value"),
    [
        ("xaloc", "steal", ""),
        ("intranet", "refused", ""),
        ("nada", "slow", "1"),
        ("xaloc", "slow", "poco"),
    ],
)
def test_a_fault_that_a_site_cannot_have_is_refused(
    world: World, site: str, fault: str, value: str
) -> None:
    with pytest.raises(ValueError):
        faults.set_fault(site, fault, value=value)
    assert faults.active() == []


def test_a_fault_for_n_hits_strikes_n_times_however_many_come(world: World) -> None:
    faults.set_fault("xaloc", "refused", times=3)
    with ThreadPoolExecutor(8) as pool:
        strikes = list(pool.map(lambda _: faults.hit("xaloc", "refused"), range(24)))
    assert sum(strike is not None for strike in strikes) == 3


# --- The intranet -----------------------------------------------------------------------------


def login_form(world: World, session: requests.Session) -> dict[str, str]:
    text = session.get(f"{world.intranet}/login", timeout=5).text
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    written = re.search(r"_token[^>]*?value=[\"']?([^\"'>\s]+)", text, re.IGNORECASE)
    before = re.search(r"value=[\"']?([^\"'>\s]+)[\"']?[^>]*_token", text, re.IGNORECASE)
    found = written or before
    assert found
    return {"_token": unescape(found[1]), "email": EMAIL, "password": PASSWORD, "remember": "on"}


def post_login(
    world: World, session: requests.Session, form: Mapping[str, str], **headers: str
) -> requests.Response:
    sent = {"Origin": world.url, "Referer": f"{world.intranet}/login", **headers}
    return session.post(
        f"{world.intranet}/login",
        data=form,
        headers={name: value for name, value in sent.items() if value},
        allow_redirects=False,
        timeout=5,
    )


def logged_in(world: World) -> requests.Session:
    session = requests.Session()
    answer = post_login(world, session, login_form(world, session))
    assert answer.headers["Location"].endswith("/home")
    return session


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 302),
        ({"password": "otra"}, 200),
        ({"email": "otra@multivia.example"}, 200),
        ({"remember": ""}, 200),
        ({"_token": "otro"}, 419),
        ({"_token": "ñ"}, 419),
    ],
)
def test_logging_in(world: World, change: dict[str, str], status: int) -> None:
    session = requests.Session()
    answer = post_login(world, session, {**login_form(world, session), **change})
    assert answer.status_code == status
    home = session.get(f"{world.intranet}/home", timeout=5)
    assert ("BOT_MULTIVIA" in home.text) is (status == 302)
    assert home.url.endswith("/home") is (status == 302)


@pytest.mark.parametrize(
    "headers", [{"Origin": ""}, {"Referer": ""}, {"Origin": "http://evil.example"}]
)
def test_a_login_from_elsewhere_is_refused(world: World, headers: dict[str, str]) -> None:
    session = requests.Session()
    assert post_login(world, session, login_form(world, session), **headers).status_code == 419


def test_another_browsers_token_does_not_log_in(world: World) -> None:
    form = login_form(world, requests.Session())
    session = requests.Session()
    login_form(world, session)
    assert post_login(world, session, form).status_code == 419


def test_the_login_page_has_the_icon_too(world: World) -> None:
    text = requests.get(f"{world.intranet}/login", timeout=5).text
    assert '<i class="fa fa-user-circle" aria-hidden="true"></i> Iniciar sesión' in text


def test_a_person_has_a_name_of_their_own(world: World) -> None:
    session = requests.Session()
    form = {**login_form(world, session), "email": "persona@multivia.example"}
    post_login(world, session, form)
    assert "</i> persona" in session.get(f"{world.intranet}/home", timeout=5).text


def test_nothing_is_shown_to_a_stranger(world: World) -> None:
    world.add_case(1)
    paths = ("home", "servicio/recursos/telematicos", "servicio/recursos/1/pdf")
    for path in (*paths, "servicio/recursos/telematicos/AsignarA"):
        answer = requests.get(f"{world.intranet}/{path}", allow_redirects=False, timeout=5)
        assert (answer.status_code, answer.headers["Location"]) == (
            302,
            "/intranet/xvia-grupoeuropa/public/login",
        )


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({}, [1, 2, 3]),
        ({"Expedient": "000002"}, [2]),
        ({"Organisme": "madrid"}, [3]),
        ({"TExp": "3"}, [2]),
        ({"TExp": "0", "Estado": "-1"}, [1, 2, 3]),
        ({"Estado": "0", "Organisme": "XALOC"}, [1]),
        ({"Expedient": "' OR 1=1 --"}, []),
        ({"TExp": "x"}, [1, 2, 3]),
    ],
)
def test_the_listing_is_filtered(world: World, query: dict[str, str], ids: list[int]) -> None:
    world.add_case(1)
    world.add_case(2, TExp=3, Estado=1)
    world.add_case(3, Organisme="AYUNTAMIENTO DE MADRID")
    url = f"{world.intranet}/servicio/recursos/telematicos"
    text = logged_in(world).get(url, params=query, timeout=5).text
    assert [int(id) for id in re.findall(r'<tr id="recurso-(\d+)"', text)] == ids


def test_the_listing_ends_at_200_and_offers_what_is_free(world: World) -> None:
    for id in range(1, 206):
        world.add_case(id, UsuarioAsignado="ANA" if id == 1 else None)
    url = f"{world.intranet}/servicio/recursos/telematicos"
    text = logged_in(world).get(url, timeout=5).text
    assert text.count('<tr id="recurso-') == 200
    assert text.count(">Asignarme<") == 199


def test_assigning_with_an_old_token_changes_nothing(world: World) -> None:
    world.add_case(1)
    url = f"{world.intranet}/servicio/recursos/telematicos/AsignarA"
    form = {"_token": "viejo", "id": "1", "recursosSel": "0"}
    answer = logged_in(world).post(url, form, allow_redirects=False, timeout=5)
    assert answer.status_code == 419
    assert world.state(1) == (2, 0, None)


def test_of_many_who_want_a_case_one_gets_it(world: World) -> None:
    world.add_case(1)
    start = threading.Barrier(8)

    def take(number: int) -> bool:
        start.wait()
        return cases.assign(1, f"BOT_{number}")

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(take, range(8)))
    assert sum(won) == 1
    assert world.state(1) == (1, 0, f"BOT_{won.index(True)}")


@pytest.mark.parametrize("values", [{"Estado": 1}, {"TExp": 1}, {"UsuarioAsignado": "ANA"}])
def test_a_case_that_is_not_free_stays_as_it_is(world: World, values: dict[str, Any]) -> None:
    world.add_case(1, **values)
    before = world.state(1)
    assert not cases.assign(1, "BOT_MULTIVIA")
    assert world.state(1) == before


# --- The ground -------------------------------------------------------------------------------


def test_an_origin_is_made_once(world: World) -> None:
    world.add_case(1)
    create_origin(world.origin)
    assert world.state(1) == (2, 0, None)


def test_unknown_pages_and_methods(world: World) -> None:
    for path in ("/", "/admin/", "/sede/", "/sede/xaloc/nada", "/intranet/"):
        assert requests.get(world.url + path, timeout=5).status_code == 404
    session = logged_in(world)
    url = f"{world.intranet}/servicio/recursos/telematicos/AsignarA"
    assert session.get(url, timeout=5).status_code == 405
    assert session.head(first_page(world, "xaloc"), timeout=5).status_code == 200
    assert session.get(f"{world.url}/_up", timeout=5).text == "ok"  # on the same connection


def test_no_page_asks_anybody_else(world: World) -> None:
    world.add_case(1)
    session = logged_in(world)
    urls = [first_page(world, "xaloc"), f"{world.url}/sede/madrid/", first_page(world, "madrid")]
    urls += [f"{world.intranet}/home", f"{world.intranet}/servicio/recursos/telematicos"]
    for url in urls:
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', session.get(url).text)


def test_a_hand_written_pdf_is_a_pdf() -> None:
    content = pdf(["Año (2025)", "a\\b", "日本"])
    start = int(re.search(rb"startxref\n(\d+)\n%%EOF", content)[1])  # type: ignore[index]
    assert content[start:].startswith(b"xref\n0 6\n")
    offsets = [int(o) for o in re.findall(rb"(\d{10}) 00000 n", content)]
    assert [content[o:].split(b" ", 1)[0] for o in offsets] == [b"1", b"2", b"3", b"4", b"5"]
    stream = re.search(rb"/Length (\d+) >>\nstream\n(.*)\nendstream", content, re.DOTALL)
    assert stream and int(stream[1]) == len(stream[2])
    assert "(Año \\(2025\\))".encode("cp1252") in content and rb"(a\\b)" in content


def test_the_world_stays_away_from_a_real_origin(settings: Any) -> None:
    settings.ORIGIN_IS_EMBEDDED = False
    with pytest.raises(CommandError, match="real origin"):
        call_command("demoworld")


def test_a_port_that_is_taken_is_told(world: World) -> None:
    port = int(world.url.rsplit(":", 1)[1])
    with pytest.raises(CommandError, match=str(port)):
        call_command("demoworld", port=port)
