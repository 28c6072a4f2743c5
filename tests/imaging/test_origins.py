"""The allow-list, against the ways allow-lists are passed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.imaging.origins import (
    DISCORD_HOSTS,
    Origin,
    parse_address,
    parse_origin,
    parse_origins,
)

ALLOWED = parse_origins(DISCORD_HOSTS | {"http://127.0.0.1:8123"})

SPLICES = (
    *("https://", "http://", "cdn.discordapp.com", "evil.example", "127.0.0.1", "::1", "a.png"),
    *("@", ":", "/", "\\", "?", "#", ".", "%", "443", "8123", "[", "]", "é", "\t"),
)


def is_allowed(url: str) -> bool:
    address = parse_address(url)
    return address is not None and address.origin in ALLOWED


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.discordapp.com/attachments/1/2/cat.png?ex=66&is=65&hm=ab",
        "https://CDN.discordapp.com:443/attachments/1/2/cat.png",
        "https://media.discordapp.net/attachments/1/2/cat.png?format=webp&width=5",
        "https://images-ext-1.discordapp.net/external/x/https/example.com/a.png",
        "http://127.0.0.1:8123/attachments/1/2/cat.png",
        "https://cdn.discordapp.com/attachments/1/2/猫.png",
        "https://cdn.discordapp.com/a.png#fragment",
    ],
)
def test_discord_and_configured_origins_are_allowed(url: str) -> None:
    assert is_allowed(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "cat.png",
        "//cdn.discordapp.com/a.png",
        "file:///etc/passwd",
        "ftp://cdn.discordapp.com/a.png",
        "data:image/png;base64,AAAA",
        "http://cdn.discordapp.com/a.png",
        "https://cdn.discordapp.com:8443/a.png",
        "https://cdn.discordapp.com:99999/a.png",
        "https://cdn.discordapp.com./a.png",
        "https://cdn.discordapp.com.evil.example/a.png",
        "https://evil.example/cdn.discordapp.com/a.png",
        "https://evilcdn.discordapp.com/a.png",
        "https://discordapp.com/a.png",
        "https://user@cdn.discordapp.com/a.png",
        "https://user:secret@cdn.discordapp.com/a.png",
        "https://cdn.discordapp.com@evil.example/a.png",
        "https://cdn.discordapp.com:443@evil.example/a.png",
        "https://evil.example#@cdn.discordapp.com/a.png",
        "https://evil.example?@cdn.discordapp.com/a.png",
        "https://evil.example\\@cdn.discordapp.com/a.png",
        "https://cdn.discordapp.com\\@evil.example/a.png",
        "https://cdn.discordapp.com%2eevil.example/a.png",
        "https://cdn.discordapp.com\t.evil.example/a.png",
        " https://cdn.discordapp.com/a.png",
        "https://cdn.discordapp.com/a b.png",
        "https://cdn.discordapp.com/a\r\nHost: evil.example",
        "https://cdn\u3002discordapp.com/a.png",
        "https://\uff43dn.discordapp.com/a.png",
        "https://xn--cdn-discordapp-com.example/a.png",
        "https://127.0.0.1/a.png",
        "http://127.0.0.1:8124/a.png",
        "http://127.1:8123/a.png",
        "http://2130706433:8123/a.png",
        "http://0x7f000001:8123/a.png",
        "http://[::ffff:127.0.0.1]:8123/a.png",
        "http://[::1]/a.png",
        "http://[:::]/a.png",
        "http://169.254.169.254/latest/meta-data",
        "http://localhost:8123/a.png",
        "https://cdn.discordapp.com/" + "a" * 5000,
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    assert not is_allowed(url)


def test_the_signed_query_is_kept_as_it_was() -> None:
    url = "https://images-ext-1.discordapp.net/external/s/%3Fa%3D1/https/e.com/a%41.png?hm=%7e&x=+"
    address = parse_address(url)
    assert address is not None
    assert str(address.url.relative()) == url.removeprefix("https://images-ext-1.discordapp.net")


def test_what_may_be_logged_has_no_query() -> None:
    address = parse_address("https://cdn.discordapp.com/attachments/1/2/cat.png?hm=5ec7e7")
    assert address is not None
    assert address.filename == "cat.png"


@pytest.mark.parametrize(
    "entry", ["", "https://", "ftp://x", "https://a/b", "https://a?b", "a b", "https://u@a", "*"]
)
def test_a_wrong_entry_is_refused_at_once(entry: str) -> None:
    with pytest.raises(ValueError, match="not an origin"):
        parse_origin(entry)


def test_origins_read_as_scheme_host_and_port() -> None:
    assert parse_origin("cdn.example") == Origin("https", "cdn.example", 443)
    assert parse_origin("HTTP://[::1]:80/") == Origin("http", "[::1]", 80)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(SPLICES),
        max_size=9,
    )
)
def test_no_splicing_reaches_another_host(parts: list[str]) -> None:
    address = parse_address("".join(parts))
    if address is not None and address.origin in ALLOWED:
        assert address.url.raw_host in DISCORD_HOSTS | {"127.0.0.1"}
        assert address.url.user is None
        assert address.url.port in (443, 8123)
