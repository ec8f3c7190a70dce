"""Messages to a real web server and a real mail relay: proven, verified, and nowhere inside."""

from __future__ import annotations

import hmac
import json
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email import message_from_string
from hashlib import sha256
from ipaddress import ip_network
from pathlib import Path

import pytest
import trustme

from patchtide.adapters.notify.mail import Mailer, Relay, read_account
from patchtide.adapters.notify.webhook import Webhooks
from patchtide.server.ports.notifying import Channel, DeliveryFailed, Message, Step
from tests.simulator.receivers import Received, mail_relay, web_receiver

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MESSAGE = Message(
    id="ab" * 16, at=NOW, kind="alert.raised", subject="raised: full",
    text="the disk is 95 % full", data={"alert": {"rule": "full"}},
)  # fmt: skip
SALT = b"salt"
HERE = ("127.0.0.0/8",)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(ca: trustme.CA) -> ssl.SSLContext:
    made = ssl.create_default_context()
    ca.configure_trust(made)
    return made


@pytest.fixture
def web(ca: trustme.CA) -> Iterator[Received]:
    with web_receiver(ca) as received:
        yield received


@pytest.fixture
def relay(ca: trustme.CA) -> Iterator[Received]:
    with mail_relay(ca) as received:
        yield received


def post(
    web: Received,
    tls: ssl.SSLContext,
    *,
    host: str = "hooks.example",
    inside: Sequence[str] = HERE,
    leads_to: Sequence[str] = ("127.0.0.1",),
    whole_s: float = 30,
) -> None:
    webhooks = Webhooks(
        secret_of=lambda salt: "secret of " + salt.decode(),
        now=lambda: NOW,
        tls=tls,
        site="hq",
        inside=[ip_network(text) for text in inside],
        resolve=lambda host, port: leads_to,
        whole_s=whole_s,
    )
    address = f"https://{host}:{web.port}/in?team=1"
    webhooks.send(Channel(name="x", kind="webhook", address=address, salt=SALT), MESSAGE)


def failed(what: object, *args: object, **more: object) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        what(*args, **more)  # type: ignore[operator]
    return caught.value


def test_a_webhook_gets_a_document_with_its_id_and_proof_of_who_sent_it(
    web: Received, tls: ssl.SSLContext
) -> None:
    post(web, tls)

    [(headers, body)] = web.requests
    seconds, _, proof = headers["patchtide-signature"].removeprefix("t=").partition(",v1=")
    expected = hmac.new(b"secret of salt", seconds.encode() + b"." + body, sha256).hexdigest()
    assert hmac.compare_digest(proof, expected)
    assert int(seconds) == NOW.timestamp()
    assert headers["patchtide-delivery"] == MESSAGE.id
    assert web.targets == ["/in?team=1"]
    told = json.loads(body)
    assert (told["id"], told["kind"], told["site"]) == (MESSAGE.id, "alert.raised", "hq")
    assert told["alert"] == {"rule": "full"}


@pytest.mark.parametrize(
    "place",
    ["127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "0.0.0.0", "10.1.2.3", "fe80::1",
     "224.0.0.1", "fd00::1", "2002:7f00:1::"],
)  # fmt: skip
def test_nothing_inside_is_told_unless_it_is_let(
    web: Received, tls: ssl.SSLContext, place: str
) -> None:
    error = failed(post, web, tls, inside=(), leads_to=["93.184.216.34", place])

    assert error.step is Step.NAME
    assert "--notify-networks" in str(error)
    assert not web.requests


def test_a_redirect_is_not_followed(web: Received, tls: ssl.SSLContext) -> None:
    web.status, web.location = 307, f"https://hooks.example:{web.port}/elsewhere"
    error = failed(post, web, tls)

    assert (error.step, str(error)) == (Step.STATUS, "hooks.example answered 307")
    assert len(web.requests) == 1


@pytest.mark.parametrize("status", [401, 500])
def test_what_a_receiver_refuses_is_named(web: Received, tls: ssl.SSLContext, status: int) -> None:
    web.status = status
    error = failed(post, web, tls)

    assert error.step is (Step.ACCOUNT if status == 401 else Step.STATUS)


def test_a_receiver_that_nobody_vouches_for_is_told_nothing(
    web: Received, tls: ssl.SSLContext
) -> None:
    strangers = failed(post, web, ssl.create_default_context())
    another_name = failed(post, web, tls, host="other.example")

    assert (strangers.step, another_name.step) == (Step.TLS, Step.TLS)
    assert not web.requests


def test_where_nobody_listens_the_connection_fails(ca: trustme.CA, tls: ssl.SSLContext) -> None:
    with web_receiver(ca) as gone:
        pass

    assert failed(post, gone, tls).step is Step.CONNECTION


def test_who_answers_a_byte_now_and_then_keeps_nobody_for_ever(
    web: Received, tls: ssl.SSLContext
) -> None:
    web.drips = True
    error = failed(post, web, tls, whole_s=0.2)

    assert error.step is Step.ANSWER


def mail(
    relay: Received,
    tls: ssl.SSLContext,
    *,
    account: Path | None = None,
    place: str = "127.0.0.1",
    whole_s: float = 30,
) -> None:
    mailer = Mailer(
        relay=Relay(scheme="smtp", host="localhost", port=relay.port),
        sender="patchtide@hq.example",
        tls=tls,
        site="hq",
        account=account,
        resolve=lambda host, port: [place],
        whole_s=whole_s,
    )
    mailer.send(Channel(name="x", kind="email", to=("a@x.example", "b@x.example")), MESSAGE)


def an_account(folder: Path, *, mode: int = 0o600) -> Path:
    path = folder / "account"
    path.write_text("patchtide:s3cret\n")
    path.chmod(mode)
    return path


def test_mail_goes_over_tls_with_the_account_of_a_file(
    relay: Received, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    mail(relay, tls, account=an_account(tmp_path))

    [text] = relay.mails
    told = message_from_string(text)
    assert relay.accounts == ["patchtide:s3cret"]
    assert told["Subject"] == "[hq] raised: full"
    assert told["To"] == "a@x.example, b@x.example"
    assert told["Message-ID"] == f"<{MESSAGE.id}@hq.example>"
    assert told["Auto-Submitted"] == "auto-generated"
    assert told.get_payload().strip() == MESSAGE.text


def test_each_step_of_mail_that_fails_is_named(
    relay: Received, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    account = an_account(tmp_path)
    seen = [failed(mail, relay, ssl.create_default_context()).step]
    relay.offers_tls = False
    seen.append(failed(mail, relay, tls).step)
    relay.offers_tls, relay.refuses_accounts = True, True
    seen.append(failed(mail, relay, tls, account=account).step)
    relay.refuses_accounts, relay.refuses_recipients = False, True
    seen.append(failed(mail, relay, tls, account=account).step)
    seen.append(failed(mail, relay, tls, place="169.254.1.1").step)
    account.chmod(0o644)
    seen.append(failed(mail, relay, tls, account=account).step)

    assert seen == [Step.TLS, Step.TLS, Step.ACCOUNT, Step.RECIPIENT, Step.NAME, Step.ACCOUNT]
    assert not relay.mails


def test_what_some_have_taken_is_not_sent_to_them_again(
    relay: Received, tls: ssl.SSLContext
) -> None:
    relay.nobody = "b@x.example"
    error = failed(mail, relay, tls)

    assert (error.step, error.is_taken, len(relay.mails)) == (Step.RECIPIENT, True, 1)
    assert "refused: b@x.example" in str(error)
    relay.refuses_recipients = True
    assert not failed(mail, relay, tls).is_taken


def test_a_relay_that_drips_is_left(relay: Received, tls: ssl.SSLContext) -> None:
    relay.drips = True
    failed(mail, relay, tls, whole_s=0.2)

    assert not relay.mails


def test_what_a_relay_took_is_taken_however_it_says_goodbye(
    relay: Received, tls: ssl.SSLContext
) -> None:
    relay.goodbye = "421 going away"
    mail(relay, tls)

    assert len(relay.mails) == 1


def test_a_password_that_no_relay_can_be_told_is_a_failure_of_the_account(tmp_path: Path) -> None:
    account = an_account(tmp_path)
    account.write_text("patchtide:pässword\n")
    error = failed(read_account, account)

    assert error.step is Step.ACCOUNT
    assert "ASCII" in str(error)


@pytest.mark.parametrize(
    "text", ["mail.example", "http://mail.example", "smtp://u:p@mail.example", "smtp:///x"]
)
def test_what_is_no_relay_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"relay|account"):
        Relay.read(text)
