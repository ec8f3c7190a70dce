"""Security keys and passkeys by WebAuthn; the library judges, this asks it strictly.

A key's model is not asked for: any key will do, and who made it is nobody's business.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from patchtide.domain.access.places import Place
from patchtide.server.ports.security_keys import Credential, SecurityKey, WrongKey

T = TypeVar("T")
_VERIFICATION = UserVerificationRequirement.PREFERRED


class WebAuthn:
    """The Authenticators port."""

    def to_register(
        self, place: Place, *, user: str, name: str, known: Sequence[SecurityKey], challenge: bytes
    ) -> str:
        options, _ = _server(place).register_begin(
            PublicKeyCredentialUserEntity(id=user.encode(), name=name, display_name=name),
            [_descriptor(key) for key in known],
            resident_key_requirement=ResidentKeyRequirement.DISCOURAGED,
            user_verification=_VERIFICATION,
            challenge=challenge,
        )
        return json.dumps(dict(options))

    def registered(self, place: Place, *, challenge: bytes, said: str) -> Credential:
        def judge() -> Credential:
            answer = RegistrationResponse.from_dict(json.loads(said))
            _check_frame(answer.response.client_data.cross_origin)
            made = _server(place).register_complete(_state(challenge), answer)
            data = made.credential_data
            if data is None:
                raise WrongKey
            return Credential(id=data.credential_id, public=bytes(data), counter=made.counter)

        return _judged(judge)

    def to_show(self, place: Place, *, keys: Sequence[SecurityKey], challenge: bytes) -> str:
        options, _ = _server(place).authenticate_begin(
            [_descriptor(key) for key in keys],
            user_verification=_VERIFICATION,
            challenge=challenge,
        )
        return json.dumps(dict(options))

    def shown(
        self, place: Place, *, keys: Sequence[SecurityKey], challenge: bytes, said: str
    ) -> tuple[SecurityKey, int]:
        known = {key.credential.id: key for key in keys}

        def judge() -> tuple[SecurityKey, int]:
            answer = AuthenticationResponse.from_dict(json.loads(said))
            _check_frame(answer.response.client_data.cross_origin)
            held = [AttestedCredentialData(key.credential.public) for key in keys]
            signed = _server(place).authenticate_complete(_state(challenge), held, answer)
            counter = answer.response.authenticator_data.counter
            return known[signed.credential_id], counter

        return _judged(judge)


def _server(place: Place) -> Fido2Server:
    return Fido2Server(
        PublicKeyCredentialRpEntity(id=place.name, name="Patchtide"),
        verify_origin=lambda origin: origin == place.origin,
    )


def _descriptor(key: SecurityKey) -> PublicKeyCredentialDescriptor:
    return PublicKeyCredentialDescriptor(
        type=PublicKeyCredentialType.PUBLIC_KEY, id=key.credential.id
    )


def _state(challenge: bytes) -> dict[str, Any]:
    return {"challenge": websafe_encode(challenge), "user_verification": _VERIFICATION}


def _check_frame(cross_origin: bool) -> None:
    if cross_origin:
        raise WrongKey("it was asked for by a page within another site's page")


def _judged(judge: Callable[[], T]) -> T:
    try:
        return judge()
    except WrongKey:
        raise
    except Exception as error:
        raise WrongKey from error
