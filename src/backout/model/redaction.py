# SPDX-License-Identifier: Apache-2.0
"""Keeps secrets out of what is shown or stored. Pure; used wherever text or values come from a cluster or a program.

Secrets are known by the name before them, by their shape, by what they stand in, and by being the value of a Secret
(`backout.model.knownsecrets`). What a reader needs stays: digests, versions, names, addresses, and the words of an error.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from backout.model.knownsecrets import HIDDEN, generation, hide
from backout.model.secretnames import asks_for_secret, holds_secret, is_key, names_secret

__all__ = ["HIDDEN", "asks_for_secret", "names_secret", "redact_plain", "redact_text", "secrets_in"]

# Each pattern begins with something rare, and its repetitions are bounded: texts come from strangers, may be a mebibyte
# of one letter, and must take no time that grows with the square of their length.
_URL_USER = re.compile(
    # The second form: a password with a slash in it; a port before the slash is none.
    r"(?<=[A-Za-z0-9+.-])://(?P<secret>[^/\s\"']{1,1024}|[^/\s@:\"']{0,256}:(?!\d{1,5}/)[^\s\"']{1,1024})@"
)
_GO_DSN = re.compile(r"(?<![\w/])[\w.-]{1,64}:(?P<secret>[^\s@/'\"]{1,256})@(?=(?:tcp|unix|cloudsql)\()")
_QUOTE = r"\\{0,3}[\"']"
_VALUE = (
    r"(?P<secret>\\{1,3}\"[^\"\n]{0,4096}?(?:\\{1,3}\"|$)|\"(?:[^\"\\\n]|\\.){0,4096}(?:\"|$)|'[^'\n]{0,4096}(?:'|$)|"
    r"(?:[^\s,;&}\]\"'\\{\[<]|\\(?![\"'])|,(?!\s|[\w.-]{1,64}[=:]|[\"'{]|$)){1,4096})"
)
_PAIR_NAME = re.compile(
    rf"(?<![A-Za-z0-9_.])(?P<name>[A-Za-z][\w.-]{{0,128}})(?P<mid>(?:{_QUOTE})?\s{{0,8}}[=:]\s{{0,8}})"
)
_PAIR_VALUE = re.compile(_VALUE)
_NAMED = re.compile(
    # As in the environment of a container: the name in one field, the value in the next one.
    rf"(?P<before>\bname(?:{_QUOTE})?\s{{0,4}}[:=]\s{{0,4}}(?:{_QUOTE})?(?P<name>[A-Za-z][\w.-]{{0,128}})(?:{_QUOTE})?,?\s{{0,40}}"
    rf"(?:{_QUOTE})?value(?:{_QUOTE})?\s{{0,4}}[:=]\s{{0,4}}){_VALUE}"
)
_TAG = re.compile(r"(?P<before><(?P<name>[A-Za-z][\w.-]{0,64})>)(?P<secret>[^<\s][^<]{0,1024})(?=</)")
_FLAG = re.compile(
    r"(?P<before>(?<!\S)--?(?P<name>[A-Za-z][\w.-]{0,128})\s{1,8})(?P<secret>(?!-)\S{1,4096})(?P<after>\s{0,4}-|\s{0,4}\Z)?"
)
_SCHEME = re.compile(
    r"(?P<name>\b(?:bearer|basic|apikey|api-key|digest|negotiate|ntlm|oauth|aws4-hmac-sha256|sharedkey|hawk)\s{1,8})"
    r"(?P<secret>[A-Za-z0-9._~+/=-]{8,4096})",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"(?P<name>\b(?:(?:proxy-)?authorization|(?:set-)?cookie)(?:\\{0,3}[\"'])?\s{0,4}[:=]\s{0,4}(?:\\{0,3}[\"'])?)"
    r"(?P<secret>(?:bearer|basic|token|apikey|api-key|digest|negotiate|ntlm|oauth|key|sharedkey|hawk|signature|aws4-hmac-sha256)"
    r"\s[^\n]{1,4096}|[^\s=;]{1,128}=[^\n]{1,4096})",
    re.IGNORECASE,
)
_QUERY = re.compile(
    r"(?P<name>[?&;](?:sig|signature|x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature|x-goog-credential|"
    r"key|code|auth|jwt|sas)=|\bsig=)(?P<secret>[^&\s\"'\\]{6,4096})",
    re.IGNORECASE,
)
_SHAPES = re.compile(
    r"\b(?P<secret>gh[opusr]_[A-Za-z0-9]{10,255}|github_pat_\w{10,255}|gl(?:pat|dt|rt|ptt|oas|cbt|ft|agent|imt|soat)-[\w-]{8,255}|"
    r"xox[a-z]-[\w-]{8,255}|xapp-[\w-]{8,255}|hv[sbr]\.[\w-]{8,512}|npm_[A-Za-z0-9]{10,255}|pypi-[\w-]{10,512}|"
    r"dckr_[op]at_[\w-]{8,255}|sk-[\w-]{12,255}|(?:sk|rk|pk)_(?:live|test)_\w{8,255}|whsec_\w{8,255}|AIza[\w-]{20,64}|"
    r"ya29\.[\w-]{8,512}|GOCSPX-[\w-]{8,64}|SG\.[\w-]{8,64}\.[\w-]{8,128}|shp(?:at|ca|pa|ss)_\w{8,64}|do[opr]_v1_\w{8,128}|"
    r"hf_[A-Za-z0-9]{10,128}|lin_api_\w{8,128}|nvapi-[\w-]{8,128}|\w{14}\.atlasv1\.[\w-]{8,128}|AC?KIA[A-Z0-9]{12,20}|"
    r"(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,20}|AGE-SECRET-KEY-[0-9A-Z]{8,128}|glsa_\w{8,128}|dt0c01\.\w{8,128}\.\w{8,128}|"
    r"eyJ[A-Za-z0-9_-]{8,2048}\.[A-Za-z0-9_-]{1,8192}(?:\.[A-Za-z0-9_-]{0,8192})?|\$2[aby]\$\d\d\$[./A-Za-z0-9]{20,60}|\$apr1\$[^\s$]{1,16}\$\S{8,40})"
)
_USER_OPTION = re.compile(r"(?P<name>(?<!\S)(?:-u|--user|--proxy-user)[= ]\s{0,8}[^\s:]{1,256}:)(?P<secret>\S{1,1024})")
_PASSWORD_OPTION = re.compile(
    # mysql -pX, sshpass -p X, docker login -p X, redis-cli -a X
    r"(?P<name>\b(?:mysql\w*|mariadb[\w-]*|sshpass|mongo\w*|login|redis-cli|ldap\w+|smbclient)\b[^\n|;&]{0,400}?\s-[paw]\s{0,2})(?P<secret>[^\s-]\S{0,1024})"
)
_ATTACHED = re.compile(
    r"(?P<name>(?<!\S)-p)(?P<secret>(?=[^\s:=/]*\d)(?=[^\s:=/]*[A-Za-z])[^\s:=/-][^\s:=/]{5,256})(?!\S)"
)
_LITERAL = re.compile(r"(?P<name>--from-literal[= ][^\s=]{1,256}=)(?P<secret>\S{1,4096})")
_SQL = re.compile(
    r"(?P<name>\b(?:identified\s{1,4}by|password|requirepass|masterauth)\s{1,4}(?=['\"]|\S*[0-9A-Z]))(?P<secret>'[^'\n]{1,1024}'|\"[^\"\n]{1,1024}\"|(?-i:(?=\S*[0-9A-Z]))\S{6,1024})",
    re.IGNORECASE,
)
_NETRC = re.compile(r"(?P<name>\blogin\s{1,4}\S{1,256}\s{1,4}password\s{1,4})(?P<secret>\S{1,1024})")
_WEBHOOK = re.compile(
    r"(?P<name>https://(?:hooks\.slack\.com/(?:services|workflows|triggers)|discord(?:app)?\.com/api/webhooks|[\w-]{1,64}\.webhook\.office\.com/webhookb2)/)"
    r"(?P<secret>[^\s\"']{1,1024})"
)
_PEM = re.compile(
    r"(?P<secret>-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z))",
    re.DOTALL,
)
_WORD = re.compile(r"[a-z]{1,20}[.:]?|[A-Z][a-z]{1,20}")
_NOTHING = re.compile(
    r"true|false|null|none|nil|\d{1,3}|undefined|empty|missing|unset|<[^>]*>|\$[({][^)}]*[)}]|[•*x]+|%[a-z]",
    re.IGNORECASE,
)


def redact_text(text: str) -> str:
    """A log line, command line or message without credentials; what was hidden already stays as it is."""
    return _remembered(text, generation()) if len(text) < _REMEMBERED else _redacted(hide(text), [])


_REMEMBERED = 512
"""Letters of a text that is not redacted anew each time: the same names and sentences come again and again."""


@lru_cache(8192)
def _remembered(text: str, generation: int) -> str:
    return _redacted(hide(text), [])


def secrets_in(text: str) -> set[str]:
    """What `redact_text` would take out of it, by name, shape or place."""
    found: list[str] = []
    _redacted(text, found)
    return {value.strip("\"'\\") for value in found}


def redact_plain(value: Any) -> Any:
    """Plain data (as JSON has it) with every text in it redacted."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        return {key: redact_plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact_plain(inner) for inner in value]
    return value


def _redacted(text: str, taken: list[str]) -> str:
    """Each rule that may match, one after the other; what they take out is noted."""
    if len(text) < _SHORTEST or not _ANY.search(text):
        return text
    lowered = text.lower()
    telling = any(word in lowered for word in _TELLING)
    for rule in _ORDER:
        if any(word in lowered for word in rule.words) and (telling or not rule.by_name):
            text = rule.apply(text, taken)
    return text


class _Rule:
    """A pattern with a group ``secret``, and the words of which one stands in whatever it finds."""

    by_name = False

    def __init__(self, pattern: re.Pattern[str], *words: str) -> None:
        self.pattern = pattern
        self.words = words

    def apply(self, text: str, taken: list[str]) -> str:
        """The text without what is found."""
        return self.pattern.sub(lambda found: self._without(found, taken), text)

    def _without(self, found: re.Match[str], taken: list[str]) -> str:
        value = found["secret"]
        if not value or HIDDEN in value or not self.secret(found):
            return found[0]
        taken.append(value)
        return (
            found[0][: found.start("secret") - found.start()] + HIDDEN + found[0][found.end("secret") - found.start() :]
        )

    def secret(self, found: re.Match[str]) -> bool:
        """Whether it is one, and not a word of a sentence."""
        return True


class _Shape(_Rule):
    def secret(self, found: re.Match[str]) -> bool:
        """Words such as npm_config_cache are none."""
        tail = re.sub(r"^[a-z]+[_-]", "", found["secret"])
        return any(map(str.isdigit, tail)) or (any(map(str.isupper, tail)) and any(map(str.islower, tail)))


class _ByName(_Rule):
    """Rules with a group ``name`` that has to tell."""

    by_name = True

    def secret(self, found: re.Match[str]) -> bool:
        return _tells(found["name"], found["secret"])


class _Flag(_ByName):
    def secret(self, found: re.Match[str]) -> bool:
        """``--token is required`` is a sentence."""
        value = found["secret"].strip("\"'")
        telling = len(value) >= 6 and any(letter.isdigit() or letter.isupper() for letter in value)
        return _tells(found["name"], value) and (telling or found["after"] is not None)


class _Pair(_ByName):
    """``name=value`` and ``name: value``, wherever one stands in the value of another."""

    def apply(self, text: str, taken: list[str]) -> str:
        """The text without the values of telling names."""
        pieces: list[str] = []
        begin = at = 0
        while (name := self.pattern.search(text, at)) is not None:
            at = name.end()
            value = _PAIR_VALUE.match(text, at) if holds_secret(name["name"]) or name["name"] == "PWD" else None
            if value is None or HIDDEN in value[0] or not self._is_one(text, name, value[0]):
                continue
            taken.append(value[0])
            pieces += [text[begin:at], HIDDEN]
            begin = at = value.end()
        return "".join([*pieces, text[begin:]]) if pieces else text

    @staticmethod
    def _is_one(text: str, name: re.Match[str], value: str) -> bool:
        bare = value.strip("\"'\\")
        if name["name"] == "PWD":
            return not bare.startswith("/") and len(bare) > 5
        if not _tells(name["name"], bare) or (name["mid"] == ":" and _is_tag(text, name, value)):
            return False
        if value == bare and _WORD.fullmatch(bare) and name["mid"].endswith(" "):
            # "invalid token: unexpected EOF" is a sentence; "password: hunter" alone on its line is none.
            before = text[text.rfind("\n", 0, name.start()) + 1 : name.start()]
            after = text[name.end() + len(value) : name.end() + len(value) + 2]
            return not before.strip(" -\"'{\t") and re.match(r" \w", after) is None and not bare.endswith((".", ":"))
        return True


def _is_tag(text: str, name: re.Match[str], value: str) -> bool:
    """Whether ``name:value`` is an image: programs are called auth, token-service or secrets-operator, too.

    A version is a tag; anything else in small letters only behind the address of a registry, which has a dot or a port.
    """
    tag = value.partition("@")[0].rstrip(".:)")
    return _VERSION.fullmatch(tag) is not None or (
        _ANY_TAG.fullmatch(tag) is not None
        and _REGISTRY.search(text, max(0, name.start() - 300), name.start()) is not None
    )


_VERSION = re.compile(r"v?\d{1,6}(?:\.\d{1,9}){1,4}(?:[-_+.][\w.-]{1,100})?|latest|stable", re.ASCII)
_ANY_TAG = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,127}", re.ASCII)
_REGISTRY = re.compile(
    r"(?<![\w/:@.-])[\w-]{1,63}(?:\.[\w-]{1,63}|:\d{1,5}(?=/)){1,8}(?:/[\w.-]{1,100}){0,6}/\Z", re.ASCII
)


def _tells(name: str, value: str) -> bool:
    """Whether a value under that name is a secret."""
    bare = value.strip("\"'\\")
    if not bare or not holds_secret(name) or _NOTHING.fullmatch(bare):
        return False
    if name.lower() in ("pass", "auth") or is_key(name):
        looks = any(letter.isdigit() or letter.isupper() or letter in "+/=" for letter in bare)
        return len(bare) >= 6 and looks and not bare.isdigit()
    return True


_SHORTEST = 6
_ANY = re.compile(
    r"[=:@_.-]|KIA|ASIA|AROA|AIDA|eyJ|AIza|password|PASSWORD|[Bb]earer|[Bb]asic|requirepass|masterauth|"
    r"IDENTIFIED|identified|\$2|</"
)
"""Without one of these, nothing is found."""
_TELLING = (
    "pass",
    "pwd",
    "secret",
    "token",
    "cred",
    "key",
    "auth",
    "dsn",
    "connection",
    "cookie",
    "session",
    "pat",
    "sas",
    "signature",
    "bearer",
)
_ORDER: tuple[_Rule, ...] = (
    _Rule(_PEM, "-----begin"),
    _Rule(_URL_USER, "@"),
    _Rule(_GO_DSN, "@"),
    _Rule(_WEBHOOK, "https://"),
    _Rule(_HEADER, "authorization", "cookie"),
    _Rule(
        _SCHEME,
        "bearer",
        "basic",
        "apikey",
        "api-key",
        "digest",
        "negotiate",
        "ntlm",
        "oauth",
        "hmac",
        "sharedkey",
        "hawk",
    ),
    _Rule(_QUERY, "="),
    _ByName(_NAMED, "value"),
    _Pair(_PAIR_NAME, "=", ":"),
    _ByName(_TAG, "</"),
    _Flag(_FLAG, "-"),
    _Rule(_LITERAL, "--from-literal"),
    _Rule(_USER_OPTION, "-u", "-user"),
    _Rule(_PASSWORD_OPTION, " -p", " -a", " -w"),
    _Rule(_ATTACHED, "-p"),
    _Rule(_NETRC, "login"),
    _Rule(_SQL, "identified", "password", "requirepass", "masterauth"),
    _Shape(_SHAPES, "_", "-", ".", "kia", "asia", "aroa", "aida", "eyj", "aiza", "$2", "$apr1"),
)
