"""The texts of credentials."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.access.credentials import ApiTokenText, EnrolmentTokenText

API = ApiTokenText(id="0f" * 6, secret="5e" * 32)
ENROLMENT = EnrolmentTokenText(id="0f" * 6, secret="5e" * 32, site_ca="ca" * 32)


def test_what_is_written_is_read_back() -> None:
    assert ApiTokenText.read(str(API)) == API
    assert EnrolmentTokenText.read(str(ENROLMENT)) == ENROLMENT


@pytest.mark.parametrize("text", [f" {API}", f"{API}\n", str(API).upper(), str(API)[:-1], ""])
def test_another_spelling_is_no_token(text: str) -> None:
    assert ApiTokenText.read(text) is None


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert ApiTokenText.read(text) is None
    assert EnrolmentTokenText.read(text) is None


def test_no_traceback_shows_a_secret() -> None:
    assert API.secret not in repr(API) and ENROLMENT.secret not in repr(ENROLMENT)
