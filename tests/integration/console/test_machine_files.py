"""Machines as a file in the browser: looked at, then done; and every mistake with its line."""

from __future__ import annotations

import re

import pytest

from patchtide.adapters.console.multipart import fields_in
from patchtide.domain.errors import InvalidDocument
from tests.integration.console.visitor import ConsoleSite

pytestmark = pytest.mark.anyio
HERE = "/machine-import"
FILE = b"\xef\xbb\xbfname;owner;business\nweb-1;<b>ops;4\nweb-2;ops;\n"


async def test_a_file_is_looked_at_and_then_done(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    await site.machines("web-1")
    await visitor.get(HERE)

    strangers = (await visitor.upload(HERE, FILE, act="look")).body.decode()
    looked = (await visitor.upload(HERE, FILE, act="look", expect="yes")).body.decode()
    before = [client.described.owner for client in site.storage.clients()]
    plan = re.findall(r'name="plan" value="([0-9a-f]{64})"', looked)[0]
    other = await visitor.upload(HERE, FILE + b"web-3;x;\n", act="import", expect="yes", plan=plan)
    done = await visitor.upload(HERE, FILE, act="import", expect="yes", plan=plan)
    machines = (await visitor.get(done.headers["location"])).body.decode()
    again = (await visitor.upload(HERE, FILE, act="look", expect="yes")).body.decode()
    file = (await visitor.get("/machines?q=web-2&format=import")).body.decode()

    assert "the machine is not known here" in strangers and 'value="import"' not in strangers
    assert "2 lines: 1 new, 1 changed, 0 as before" in looked
    assert "&lt;b&gt;ops" in looked and "<b>ops" not in looked
    assert (before, other.status, done.status) == ([""], 409, 303)
    assert "2 machines new or changed by the file." in machines and "web-2" in machines
    assert "All of this is said of them already." in again
    assert file.startswith("id,name,state,owner,") and ",web-2,expected,ops," in file


async def test_all_that_a_list_shows_is_described_at_once(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    lines = [f"m-{n:03},{'ops' if n < 60 else 'shop'}\n" for n in range(600)]
    file = f"name,owner\n{''.join(lines)}".encode()
    await visitor.get(HERE)
    await visitor.upload(HERE, file, act="import", expect="yes")

    page = (await visitor.get("/machines?owner=ops")).body.decode()
    all_of = {"act": "describe-all", "back": "/machines?owner=ops&page=2"}
    form = (await visitor.post("/machines/act", all_of)).body.decode()
    too_many = await visitor.post("/machines/act", {**all_of, "back": "/machines"})
    chosen = re.findall(r'name="machine" value="([0-9a-f-]+)"', form)
    said = {"act": "describe-preview", "machine": chosen, "location": "Ulm"}
    preview = (await visitor.post("/machines/act", said)).body.decode()

    assert "Describe all 60" in page and "Describe 60 machines" in form
    assert len(set(chosen)) == 60
    assert too_many.status == 400 and "are 600" in too_many.body.decode()
    assert "60 machines would change" in preview


async def test_of_a_file_with_mistakes_each_is_shown_with_its_place(site: ConsoleSite) -> None:
    visitor = await site.signed_in()
    await visitor.get(HERE)

    wrong = await visitor.upload(HERE, b"name,business\nweb-1,9\n,1\n", act="look")
    latin = await visitor.upload(HERE, "name,owner\nweb-1,Jörg\n".encode("latin-1"), act="look")
    none = await visitor.upload(HERE, b"", act="look")
    large = await visitor.upload(HERE, b"x" * (9 << 20), act="look")
    nobodys = await site.visitor().upload(HERE, b"x" * (1 << 20))

    text = wrong.body.decode()
    assert "line 2, column 2 (business)" in text and "is a number from 0 to 5, not" in text
    assert "line 3" in text and "says of no machine what it says" in text
    assert "is no UTF-8 text" in latin.body.decode() and "line 2" in latin.body.decode()
    assert "choose one" in none.body.decode()
    assert "is larger than" in large.body.decode()
    assert {a.status for a in (wrong, latin, none, large, nobodys)} == {400}


async def test_who_describes_only_some_machines_imports_none(site: ConsoleSite) -> None:
    reader = await site.signed_in("rita", "auditor")

    assert "/machine-import" not in (await reader.get("/machines")).body.decode()
    assert (await reader.get(HERE)).status == 403
    assert (await reader.upload(HERE, FILE)).status == 403


@pytest.mark.parametrize(
    "body",
    [b"", b"--x", b"--x\r\n\r\n--x--", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1'],
)
def test_what_is_no_form_in_parts_is_refused(body: bytes) -> None:
    for kind in ("multipart/form-data; boundary=x", "multipart/form-data"):
        with pytest.raises(InvalidDocument):
            fields_in(body, kind)
