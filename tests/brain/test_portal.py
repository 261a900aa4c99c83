"""The intranet's client against a really served intranet."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator

import pytest
from tenacity import wait_none

from brain import portal
from brain.portal import Page, Portal
from orchestrator_site.demo.world import faults, sessions
from tests.world import EMAIL, PASSWORD, World, world, world_files, world_url

__all__ = ["world", "world_files", "world_url"]


@pytest.fixture
def client(world: World) -> Iterator[Portal]:
    client = Portal(world.intranet, EMAIL, PASSWORD, timeout=5)
    yield client
    client.close()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Portal._get_once.retry, "wait", wait_none())


@pytest.fixture
def calls(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def made(calls: pytest.LogCaptureFixture, what: str) -> int:
    """How many outside calls of this kind were logged."""
    return sum(r.name == "brain.portal" and what in r.getMessage() for r in calls.records)


def html(text: str, url: str = "http://intranet.example/public/home") -> Page:
    return Page(url, 200, "text/html; charset=utf-8", "", text.encode())


# --- Reading pages ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    [
        '<input type="hidden" name="_token" value="a+b">',
        "<input value='a+b' name='_token' type='hidden'/>",
        "<INPUT NAME=_token TYPE=hidden VALUE=a+b>",
        '<input\n value="a&#43;b"\n name="_token">',
        "<!-- <input name='_token' value='old'> --><input name='_token' value='a+b'>",
        "<script>x = '<input name=_token value=old>';</script><input name='_token' value='a+b'>",
        '<input name="_token" value=""><input name="_token" value="a+b"><input name="_token">',
    ],
)
def test_the_token_is_read_however_it_is_written(field: str) -> None:
    assert html(f"<form>{field}</form>").read.token == "a+b"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('<i class="fa fa-user-circle" aria-hidden="true"></i> BOT_MULTIVIA ', "BOT_MULTIVIA"),
        (
            "<i aria-hidden='true' class='fa-user-circle fa'></i>&nbsp;ANA  P&eacute;rez<b>",
            "ANA Pérez",
        ),
        ('<i class="fa fa-user-circle"></i> <span>BOT</span>', "BOT"),
        ('<i class="fa fa-user-circle"></i> Iniciar sesión', ""),
        ('<i class="fa fa-user-circle"></i> INICIAR&nbsp;SESION', ""),
        ('<i class="fa fa-user-circle"></i> Iniciar sesión<i class="fa fa-user-circle"></i>X', "X"),
        ('<i class="fa fa-user-circle-o"></i> BOT', ""),
        ("<p>BOT</p>", ""),
    ],
)
def test_the_account_is_the_text_after_the_icon(text: str, name: str) -> None:
    assert html(text).read.name == name


def test_a_page_without_a_charset_may_be_latin() -> None:
    assert Page("", 200, "text/html", "", "sesión".encode("cp1252")).text == "sesión"
    assert Page("", 200, "text/html", "", "sesión".encode()).text == "sesión"


@pytest.mark.parametrize(
    ("page", "is_login"),
    [
        (html("<p>home</p>"), False),
        (html("<input type='PASSWORD' name=p>"), True),
        (html("", "http://intranet.example/public/login"), True),
        (html("", "http://intranet.example/public/loginless"), False),
        (Page("http://i/x", 302, "", "http://i/public/login", b""), True),
        (Page("http://i/x", 419, "", "", b""), True),
        (Page("http://i/x.pdf", 200, "application/pdf", "", b"<input type=password>"), False),
    ],
)
def test_the_login_page_is_known_by_its_address_or_its_form(page: Page, is_login: bool) -> None:
    assert page.is_login is is_login


# --- Logging in -------------------------------------------------------------------------------


def test_login_and_the_name_that_the_session_shows(client: Portal) -> None:
    client.login()
    assert client.account() == "BOT_MULTIVIA"


def test_every_way_that_the_page_writes_its_token_works(client: Portal) -> None:
    for _ in range(12):
        client.login()
        assert client.token()


def test_a_page_that_needs_a_login_gets_one(client: Portal) -> None:
    assert client.account() == "BOT_MULTIVIA"


def test_a_trailing_slash_of_the_base_url_does_not_matter(world: World) -> None:
    assert Portal(world.intranet + "/", EMAIL, PASSWORD).account() == "BOT_MULTIVIA"


def test_bad_credentials(world: World) -> None:
    with pytest.raises(portal.BadCredentials):
        Portal(world.intranet, EMAIL, "otra").login()


def test_refused_credentials_are_not_tried_again_by_any_object(
    world: World, calls: pytest.LogCaptureFixture
) -> None:
    for _ in range(4):
        with pytest.raises(portal.BadCredentials):
            Portal(world.intranet, EMAIL, "otra").login()
    assert made(calls, "POST") == 1
    Portal(world.intranet, EMAIL, PASSWORD).login()  # a corrected password is another matter


def test_refused_credentials_are_tried_again_after_some_minutes(
    world: World, monkeypatch: pytest.MonkeyPatch, calls: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(portal, "REFUSED_FOR", 0.05)
    for _ in range(2):
        with pytest.raises(portal.BadCredentials):
            Portal(world.intranet, EMAIL, "otra").login()
        time.sleep(0.06)
    assert made(calls, "POST") == 2


def test_a_login_page_without_a_token_has_changed(world: World, client: Portal) -> None:
    faults.set_fault("intranet", "changed_page")
    with pytest.raises(portal.PortalChanged, match="no token"):
        client.login()


def test_an_error_on_login_is_no_matter_of_credentials(world: World, client: Portal) -> None:
    faults.set_fault("intranet", "error500", times=1)
    with pytest.raises(portal.PortalFailed, match="500"):
        client.login()
    client.login()


def test_a_home_page_without_a_name_has_changed(
    client: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_get", lambda path: html("<p>Bienvenido</p>"))
    with pytest.raises(portal.PortalChanged, match="no account name"):
        client.account()


# --- The session ------------------------------------------------------------------------------


def test_an_expired_session_is_renewed_once(
    world: World, client: Portal, calls: pytest.LogCaptureFixture
) -> None:
    world.add_case(1)
    client.login()
    sessions.expire_all()
    assert client.assign(1) == 302
    assert world.state(1) == (1, 0, "BOT_MULTIVIA")
    assert made(calls, "GET /intranet/xvia-grupoeuropa/public/login") == 2
    assert made(calls, "POST /intranet/xvia-grupoeuropa/public/login") == 2
    assert made(calls, "AsignarA") == 1


def test_a_session_that_expires_between_token_and_claim_is_renewed(
    world: World, client: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_case(1)
    client.login()
    post, lost = client._post, iter([True])

    def losing(path: str, *args: object, **kwargs: object) -> Page:
        if path == portal.ASSIGN and next(lost, False):
            sessions.expire_all()
        return post(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(client, "_post", losing)
    assert client.assign(1) == 302
    assert world.state(1)[2] == "BOT_MULTIVIA"


def test_a_session_that_does_not_hold_is_given_up(
    world: World, client: Portal, calls: pytest.LogCaptureFixture
) -> None:
    world.add_case(1)
    client.login()
    faults.set_fault("intranet", "expire_sessions")
    document = "servicio/recursos/1/pdf"
    for ask in (
        client.account,
        client.token,
        lambda: client.assign(1),
        lambda: client.has(document),
    ):
        calls.clear()
        with pytest.raises(portal.SessionExpired):
            ask()
        assert made(calls, "POST /intranet/xvia-grupoeuropa/public/login") == 1
    assert world.state(1) == (2, 0, None)


def test_a_redirect_to_another_host_is_refused(world: World, client: Portal) -> None:
    client.login()
    port = world.url.rsplit(":", 1)[1]
    for target in (f"http://localhost:{port}/x", "http://127.0.0.1:9/x", "//evil.example/login"):
        faults.set_fault("intranet", "redirected", times=1, value=target)
        with pytest.raises(portal.ForeignRedirect):
            client.account()
    assert client.account() == "BOT_MULTIVIA"


@pytest.mark.parametrize(
    ("base", "target", "allowed"),
    [
        ("http://a.example/p", "http://a.example/q", True),
        ("http://a.example/p", "https://a.example/q", True),
        ("https://a.example/p", "http://a.example/q", False),
        ("http://a.example/p", "http://a.example:81/q", False),
        ("http://a.example:80/p", "https://a.example:444/q", False),
        ("http://a.example/p", "http://a.example.evil/q", False),
        ("http://a.example/p", "http://a.example@evil.example/q", False),
        ("http://a.example/p", "file:///etc/passwd", False),
    ],
)
def test_where_a_redirect_may_lead(base: str, target: str, allowed: bool) -> None:
    client = Portal(base, "e", "p")
    if allowed:
        assert client._allowed(target) == target
    else:
        with pytest.raises(portal.ForeignRedirect):
            client._allowed(target)


def test_redirects_in_circles_end(world: World, client: Portal) -> None:
    client.login()
    faults.set_fault("intranet", "redirected", value=f"{world.intranet}/home")
    with pytest.raises(portal.PortalChanged, match="circles"):
        client.account()


# --- Claiming ---------------------------------------------------------------------------------


def test_assigning_makes_a_free_case_ours(world: World, client: Portal) -> None:
    world.add_case(1)
    assert client.assign(1) == 302
    assert world.state(1) == (1, 0, "BOT_MULTIVIA")


def test_the_answer_to_assigning_proves_nothing(world: World, client: Portal) -> None:
    world.add_case(1, UsuarioAsignado="ANA")
    world.add_case(2, Estado=1)
    world.add_case(3)
    faults.set_fault("intranet", "ignore_assign", expediente="2025/000003-MUL")
    assert {client.assign(id) for id in (1, 2, 3, 999)} == {302}
    assert [world.state(id)[2] for id in (1, 2, 3)] == ["ANA", None, None]


def test_a_person_can_be_faster(world: World, client: Portal) -> None:
    world.add_case(1)
    faults.set_fault("intranet", "steal", times=1)
    assert client.assign(1) == 302
    assert world.state(1) == (1, 0, "persona")


@pytest.mark.parametrize("how", ["", "cut"])
def test_a_claim_whose_answer_is_lost_is_not_sent_again(
    world: World, client: Portal, calls: pytest.LogCaptureFixture, how: str
) -> None:
    world.add_case(1)
    client.login()
    faults.set_fault("intranet", "die_after_assign", value=how)
    if how == "cut":
        with pytest.raises(portal.PortalUnreachable):
            client.assign(1)
    else:
        assert client.assign(1) == 500
    assert world.state(1) == (1, 0, "BOT_MULTIVIA")
    assert made(calls, "AsignarA") == 1


def test_a_claim_that_the_line_swallowed_is_not_sent_again(
    world: World, client: Portal, calls: pytest.LogCaptureFixture
) -> None:
    world.add_case(1)
    client.login()
    faults.set_fault("intranet", "cut", times=1, value="asignar")
    with pytest.raises(portal.PortalUnreachable):
        client.assign(1)
    assert made(calls, "AsignarA") == 1
    assert world.state(1) == (2, 0, None)


# --- Documents --------------------------------------------------------------------------------


def test_documents_are_fetched(world: World, client: Portal) -> None:
    world.add_case(1)
    content = client.fetch("servicio/recursos/1/pdf")
    assert content.startswith(b"%PDF-") and b"2025/000001-MUL" in content
    assert client.fetch("/servicio/recursos/1/adjunto/2").startswith(b"%PDF-")


def test_documents_that_are_not_there(world: World, client: Portal) -> None:
    world.add_case(1, notas="Cliente habitual. SIN PDF, sin adjunto 2")
    there = {path: client.has(f"servicio/recursos/1/{path}") for path in ("pdf", "adjunto/1")}
    assert there == {"pdf": False, "adjunto/1": True}
    for path in ("1/pdf", "1/adjunto/2", "1/adjunto/9", "2/pdf"):
        with pytest.raises(portal.DocumentMissing):
            client.fetch(f"servicio/recursos/{path}")


def test_a_web_page_in_place_of_a_document_is_a_missing_document(
    world: World, client: Portal
) -> None:
    world.add_case(1)
    client.login()
    path = "servicio/recursos/1/pdf"
    faults.set_fault("intranet", "redirected", "2025/000001-MUL", value=f"{world.intranet}/home")
    assert not client.has(path)
    with pytest.raises(portal.DocumentMissing):
        client.fetch(path)


def test_an_error_is_not_a_missing_document(world: World, client: Portal) -> None:
    world.add_case(1)
    client.login()
    faults.set_fault("intranet", "error500")
    with pytest.raises(portal.PortalFailed):
        client.has("servicio/recursos/1/pdf")
    with pytest.raises(portal.PortalFailed):
        client.fetch("servicio/recursos/1/pdf")


def test_a_document_after_the_session_expired(world: World, client: Portal) -> None:
    world.add_case(1)
    client.login()
    sessions.expire_all()
    assert client.has("servicio/recursos/1/pdf")
    sessions.expire_all()
    assert client.fetch("servicio/recursos/1/pdf").startswith(b"%PDF-")


def test_a_document_that_is_too_large(
    world: World, client: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_case(1)
    client.login()
    monkeypatch.setattr(portal, "MAX_BYTES", 500)
    with pytest.raises(portal.DocumentTooLarge):
        client.fetch("servicio/recursos/1/pdf")
    assert client.has("servicio/recursos/1/pdf")


# --- The line ---------------------------------------------------------------------------------


def test_nobody_there(settings: object) -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        client = Portal(f"http://127.0.0.1:{taken.getsockname()[1]}/public", EMAIL, PASSWORD)
        with pytest.raises(portal.PortalUnreachable):
            client.login()


def test_a_proxy_of_the_environment_is_not_asked(
    world: World, client: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert client.account() == "BOT_MULTIVIA"


def test_a_slow_intranet_is_a_timeout_and_not_asked_again(
    world: World, calls: pytest.LogCaptureFixture
) -> None:
    faults.set_fault("intranet", "slow", times=1, value="1.5")
    with pytest.raises(portal.PortalTimeout):
        Portal(world.intranet, EMAIL, PASSWORD, timeout=0.3).login()
    assert made(calls, "GET") == 1


def test_a_broken_line_is_tried_again_for_a_page(
    world: World, client: Portal, calls: pytest.LogCaptureFixture
) -> None:
    client.login()
    calls.clear()
    faults.set_fault("intranet", "cut", times=2)
    assert client.account() == "BOT_MULTIVIA"
    assert made(calls, "GET") == 3


def test_a_line_that_stays_broken_is_given_up(world: World, client: Portal) -> None:
    client.login()
    faults.set_fault("intranet", "cut")
    with pytest.raises(portal.PortalUnreachable):
        client.account()


def test_no_secret_is_in_the_log_or_in_an_error(
    world: World, client: Portal, calls: pytest.LogCaptureFixture
) -> None:
    world.add_case(1)
    client.assign(1)
    token = client.token()
    with pytest.raises(portal.BadCredentials) as refused:
        Portal(world.intranet, EMAIL, "clave-equivocada").login()
    for secret in (PASSWORD, token, "clave-equivocada"):
        assert secret not in calls.text + repr(refused.value)
