"""Bodies of any shape: each is taken or refused in Discord's words, none breaks the server."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.sandbox import Sandbox, posting, wire
from bot.sandbox.errors import ApiError
from bot.sandbox.form import Form
from bot.sandbox.modals import check_modal
from bot.sandbox.registry import check_command

WORDS = """
content embeds components attachments flags allowed_mentions type custom_id label options items
media url style title id parse users fields name value accessory component min_values max_values
emoji description file image author footer choices nonce
"""
KEYS = st.sampled_from(WORDS.split())
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 20), st.text(max_size=4), st.just(1 << 15)
)
BODIES = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
        max_leaves=12,
    ),
    max_size=6,
)


CORE = Sandbox().core
CHANNEL = next(iter(CORE.state.channels.values()))
TERMS = posting.terms_for(CORE, CHANNEL, CORE.state.application_id, webhook=False)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(body=BODIES)
def test_a_message_body_is_taken_or_refused(body: dict[str, Any]) -> None:
    message = posting.blank(CORE, CHANNEL, CORE.state.application_id)
    refused = None
    try:
        posting.write(CORE, message, body, [], TERMS)
    except ApiError as error:
        refused = error
    if refused is None:
        wire.message_json(CORE.state, CORE.cdn, message)
    else:
        assert json.dumps(refused.to_json())
        assert refused.code in (50035, 50006)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(body=BODIES)
def test_a_modal_is_taken_or_refused(body: dict[str, Any]) -> None:
    form = Form()
    check_modal(form, body)
    assert not form.sound


@settings(max_examples=100, deadline=None, derandomize=True)
@given(body=BODIES)
def test_a_command_is_taken_or_refused(body: dict[str, Any]) -> None:
    form = Form()
    check_command(form, (), body)
    assert form.sound or "name" in body or "description" in body or body.get("type") != 2
