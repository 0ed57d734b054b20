"""Tokens under attack: timing, hostile headers, and whether a secret ever leaks."""

import http.client
import os
import random
import re
import signal
import socket
import statistics
import string
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from time import perf_counter_ns
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrypoints.http.guard.tokens import Keyring, read_tokens
from tests.figures import Figures, Scale
from tests.servers import DEADLINE_SECONDS, Api, Serve, Start

SECRET = "kJ4mZ0aR7tWq2vLx9cYb5nEd8gHs1uPf"
LONGER = "Zq8wLm3kXv6tRb1nYd5cJg9hFs2pUa4e0123456789"
OTHERS = [LONGER, "0000000000000000000000000000000000"]
HARMLESS_T = 4.5
"""The bound of dudect and of the TVLA: beyond it two populations of timings differ."""

WRONG = {"first character": (SECRET, 0), "last character": (SECRET, 31), "length": (LONGER[:32], 31)}
"""Guesses by what is wrong with them, and the changed character. All are equally long."""

LETTERS = sorted({*string.ascii_letters, *string.digits} - {SECRET[0], SECRET[31], LONGER[31]})
HTTP_ANSWER = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """A file with three tokens, the attacked one in the middle."""
    path = tmp_path / "tokens.txt"
    path.touch(0o600)
    path.write_text(f"first read {OTHERS[0]}\nattacked write {SECRET}\nlast read {OTHERS[1]}\n")
    return path


@pytest.fixture
def guarded(start: Start, token_file: Path) -> Iterator[Api]:
    """A server that requires these tokens."""
    with start(token_file=token_file) as api:
        yield api


def sample(count: int, ask: Callable[[str], object]) -> dict[str, list[int]]:
    """Return the nanoseconds that ``ask`` takes, many times for each kind of guess, in random order."""
    # Not secret: the order only has to be without a pattern.
    chance = random.Random()  # noqa: S311
    times: dict[str, list[int]] = {kind: [] for kind in WRONG}
    order = [kind for kind in WRONG for _ in range(count)]
    chance.shuffle(order)
    for kind in order:
        # Made anew each time and in the same way, or the guess's memory location would make a difference.
        right, place = WRONG[kind]
        characters = bytearray(right.encode())
        characters[place] = ord(chance.choice(LETTERS))
        guess = characters.decode()
        begun = perf_counter_ns()
        ask(guess)
        # The lookup takes a different time for each kind, so it must not be measured.
        taken = perf_counter_ns() - begun
        times[kind].append(taken)
    return times


def greatest_t(times: Mapping[str, list[int]]) -> float:
    """Return the greatest Welch t between two kinds, without the slowest tenth, which is noise (dudect)."""
    limit = statistics.quantiles([time for taken in times.values() for time in taken], n=10)[-1]
    cropped = [[time for time in taken if time <= limit] for taken in times.values()]
    return max(abs(welch_t(one, other)) for one in cropped for other in cropped if one is not other)


def welch_t(one: list[int], other: list[int]) -> float:
    """Return the difference of two means in standard errors, for unequal variances."""
    error = statistics.variance(one) / len(one) + statistics.variance(other) / len(other)
    return float((statistics.fmean(one) - statistics.fmean(other)) / error**0.5)


def least_of_three(measure: Callable[[], float]) -> float:
    """Return the least of three measurements: a leak shows in each, noise does not.

    A measurement below the bound ends it.
    """
    least = measure()
    for _ in range(2):
        if least >= HARMLESS_T:
            least = min(least, measure())
    return least


def test_comparison_takes_the_same_time(token_file: Path, scale: Scale, figures: Figures) -> None:
    """The time to compare a wrong secret does not reveal what is wrong with it."""
    keyring = Keyring(lambda: read_tokens(token_file, None))
    count = scale(1_000, 10_000)
    t = least_of_three(lambda: greatest_t(sample(count, lambda guess: keyring.find(guess.encode()))))
    figures(samples_each=count, welch_t=f"{t:.2f}")
    assert t < HARMLESS_T


def test_answer_takes_the_same_time(guarded: Api, scale: Scale, figures: Figures) -> None:
    """The time of the 401 to a wrong secret does not reveal what is wrong with it."""
    count = scale(1_000, 10_000)
    with closing(http.client.HTTPConnection(urlsplit(guarded.url).netloc, timeout=DEADLINE_SECONDS)) as connection:

        def ask(guess: str) -> None:
            connection.request("GET", "/api/v1/runs", headers={"Authorization": f"Bearer {guess}"})
            response = connection.getresponse()
            response.read()
            assert response.status == 401

        t = least_of_three(lambda: greatest_t(sample(count, ask)))
    figures(samples_each=count, welch_t=f"{t:.2f}")
    assert t < HARMLESS_T


def test_measurement_sees_a_leak(scale: Scale, figures: Figures) -> None:
    """A comparison that stops at the first wrong character is detected, or the other tests prove nothing."""

    def compare(guess: str) -> bool:
        return all(one == other for one, other in zip(guess, SECRET, strict=False))

    count = scale(1_000, 10_000)
    t = greatest_t(sample(count, compare))
    figures(samples_each=count, welch_t=f"{t:.2f}")
    assert t > HARMLESS_T


def ask_raw(api: Api, value: bytes, name: bytes = b"Authorization") -> tuple[int, bytes]:
    """Return the status and the whole response to a request with this raw header; 0 for a closed connection."""
    address = urlsplit(api.url)
    request = b"POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n"
    with closing(socket.create_connection((address.hostname, address.port), DEADLINE_SECONDS)) as connection:
        answer = b""
        try:
            connection.sendall(request + name + b": " + value + b"\r\n\r\n")
            while part := connection.recv(65536):
                answer += part
        except ConnectionError:
            pass
    match = HTTP_ANSWER.match(answer)
    return int(match[1]) if match else 0, answer


header_values = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=60).map(lambda text: text.encode(errors="surrogatepass")),
    st.builds(
        lambda scheme, blank, secret, rest: scheme + blank + secret + rest,
        st.sampled_from([b"Bearer", b"bearer", b"BEARER", b"Basic", b"", b"\xc2\xa0Bearer"]),
        st.sampled_from([b" ", b"  ", b"\t", b"", b"\xa0", b"\x0b", b"\r\n "]),
        st.sampled_from([SECRET.encode(), SECRET.swapcase().encode(), SECRET[:-1].encode(), b"", b"\xed\xa0\x80"]),
        st.binary(max_size=20),
    ),
)


def test_no_header_is_a_fault_of_the_server(guarded: Api, scale: Scale) -> None:
    """Any header gets 401 or another 4xx, unless it has the token, which is accepted."""

    @settings(max_examples=scale(150, 10_000), suppress_health_check=list(HealthCheck), database=None)
    @given(header_values)
    def ask(value: bytes) -> None:
        status, answer = ask_raw(guarded, value)
        known = re.fullmatch(rb"(?i:bearer) +" + SECRET.encode(), value.strip(b" \t"))
        assert 400 <= status < 500
        assert status != 401 or not known
        assert SECRET.encode() not in answer

    ask()


@pytest.mark.parametrize("size", [4_000, 8_000, 8_190, 9_000, 70_000, 1_000_000])
def test_huge_header(guarded: Api, size: int) -> None:
    """A header of any size gets 4xx or closes the connection, and the server goes on."""
    for value in (b"Bearer " + b"x" * size, b"Bearer " + SECRET.encode() + b" " * size + b"x", b"x" * size):
        status, answer = ask_raw(guarded, value)
        assert status == 0 or 400 <= status < 500
        assert SECRET.encode() not in answer
    status, _ = ask_raw(guarded, b"x", b"X" * size)
    assert status == 0 or 400 <= status < 500
    assert guarded.request("GET", "/health").status == 200


def test_secrets_never_show(serve: Serve, token_file: Path) -> None:
    """Neither a response nor the process ever shows a token: not in a log, an error or the help."""
    secrets = [SECRET, *OTHERS]
    said: list[bytes] = []
    variable = f"env read {'e' * 32}"
    with serve("--port", "0", "--token-file", str(token_file), RUNSINK_TOKENS=variable) as served:
        for secret in [*secrets, "e" * 32, SECRET[:-1]]:
            for form in (
                b"Bearer %s",
                b"bearer %s",
                b"Basic %s",
                b"%s",
                b"Bearer %s x",
                b"Bearer %s\x01",
                b"%s\r\n %s",
            ):
                said += [ask_raw(served.api, form.replace(b"%s", secret.encode()))[1]]
            said += [ask_raw(served.api, b"Bearer " + secret.encode(), b"Authorization ")[1]]
            said += [ask_raw(served.api, b"Bearer " + secret.encode() + b"x" * 9_000)[1]]
        for broken in (f"a {SECRET} write\n", f"{SECRET}\n", f"a read {SECRET},\n"):
            token_file.write_text(broken)
            served.process.send_signal(signal.SIGHUP)
            complaint = served.next_complaint()
            assert "line 1: " in complaint
            said.append(complaint.encode())
        said += [part.encode() for part in (served.first_line, served.end()[1])]
    assert all(secret.encode() not in text for text in said for secret in [*secrets, "e" * 32])


def test_help_shows_no_token(token_file: Path) -> None:
    """The help, which shows the defaults, does not show the tokens of the environment."""
    environment = {**os.environ, "RUNSINK_TOKENS": f"a read {SECRET}", "RUNSINK_TOKEN_FILE": str(token_file)}
    command = [Path(sys.executable).parent / "runsink", "serve", "--help"]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=30)
    assert SECRET not in shown.stdout + shown.stderr
