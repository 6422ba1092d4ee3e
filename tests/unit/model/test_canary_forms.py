# SPDX-License-Identifier: Apache-2.0
"""Two hundred and more forms in which secrets stand in texts, and as many ordinary texts that have to stay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backout.model import knownsecrets
from backout.model.redaction import HIDDEN, redact_text
from canary_forms import base64_of, forms, token

FORMS = forms()


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    knownsecrets.forget()
    yield
    knownsecrets.forget()


def test_there_are_enough() -> None:
    assert len(FORMS) >= 200


@pytest.mark.parametrize("name", FORMS)
def test_a_secret_is_known_by_name_shape_or_place(name: str) -> None:
    canary = token()
    text = FORMS[name].format(t=canary)
    shown = redact_text(text)
    assert canary not in shown and canary[4:-4] not in shown, shown
    assert HIDDEN in shown
    assert redact_text(shown) == shown, "what is hidden stays as it is"


ORDINARY = [
    "thanos:v0.36.1@sha256:" + "0123456789abcdef" * 4,
    "quay.io/thanos/thanos@sha256:" + "ab" * 32,
    "sha256:" + "0f" * 32,
    "resourceVersion: 4711231",
    "uid 0b1f6c2e-7a0c-4f0c-9a37-5a0f4a1c9d11",
    "web-6d5f8c7b9d-x2k4p",
    "pod-template-hash=6d5f8c7b9d",
    "controller-revision-hash: thanos-receive-7c9d6b8f5",
    "commit 1f0c9a7b2d3e4f5061728394a5b6c7d8e9f00112",
    "back-off 5m0s restarting failed container=app pod=web-6d5f8c7b9d-x2k4p",
    'secret "thanos-objstore" not found',
    "couldn't find key objstore.yml in Secret monitoring/thanos-objstore",
    'MountVolume.SetUp failed for volume "tls" : secret "web-tls" not found',
    "Error: secret: not found",
    "invalid token: unexpected EOF",
    "unable to read token: permission denied",
    'password authentication failed for user "app"',
    "FATAL: password authentication failed for user app",
    "x509: certificate signed by unknown authority",
    "x509: certificate has expired or is not yet valid: current time 2026-11-29T12:00:00Z is after 2026-11-28T00:00:00Z",
    "dial tcp 10.96.0.10:5432: connect: connection refused",
    "dial tcp: lookup db.monitoring.svc on 10.96.0.10:53: no such host",
    "Readiness probe failed: HTTP probe failed with statuscode: 503",
    "exceeded quota: compute, requested: limits.cpu=2, used: limits.cpu=8, limited: limits.cpu=8",
    "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }",
    "topologyKey: kubernetes.io/hostname",
    "partition_key=created_at",
    "cache_key: user-12",
    "publicKey: ssh-ed25519",
    "secretName: thanos-objstore-v2",
    "secretKeyRef: {name: db, key: password}",
    "automountServiceAccountToken: true",
    "imagePullSecrets: [{name: registry-1}]",
    "--token-file /etc/tokens/T0K3N",
    "--tls-private-key-file=/etc/tls/tls.key",
    "flag needs an argument: --token is required",
    "container exits with code 2: unknown flag --receive.x",
    "kubectl set image deployment/web web=nginx:1.27.3 --record=true",
    "kubectl rollout undo deployment/web --to-revision=3",
    "helm upgrade thanos ./chart -n monitoring --set image.tag=v0.36.1 --set replicas=3",
    "docker run -p 8080:80 nginx",
    "ssh -p 2222 host",
    "mkdir -p /var/lib/app2",
    "PWD=/app",
    "keyFile=/etc/x.pem",
    "a key=value pair",
    "http://thanos-query.monitoring.svc:10902/api/v1/query?query=up",
    "https://registry.example:5000/app@sha256:0123456789abcdef",
    "npm_config_cache=/tmp/npm",
    "sk-learn-pipelines",
    "basic-auth is off",
    "bearer token is missing",
    "revision 12 of the release brought the image web:2",
    "pass: 12 of 12",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    'Back-off pulling image "ghcr.io/org/app:1.2.3-rc.1"',
    "user kim@example.org may not get secrets in namespace prod",
    'serviceaccount:monitoring:prometheus cannot list resource "secrets"',
]


@pytest.mark.parametrize("text", ORDINARY)
def test_what_a_reader_needs_stays(text: str) -> None:
    assert redact_text(text) == text


def test_values_of_secrets_are_known_wherever_they_are() -> None:
    plain, short = token(), "hunter2x"
    odd = f'pa"ss/{token()}+&'
    knownsecrets.learn("value", plain.encode())
    knownsecrets.learn("password", short)
    knownsecrets.learn("db-password", odd)
    inner = token()
    knownsecrets.learn("objstore.yml", f"type: S3\nconfig:\n  secret_key: {inner}\n  bucket: thanos-1\n")
    for secret in (plain, short, odd, inner):
        for text in (
            secret,
            f"MODE={secret}",
            f'{{"a":"{secret}"}}',
            base64_of(secret),
            base64_of(f"x:{secret}"),
            f"say {secret} twice {secret}",
        ):
            shown = redact_text(text)
            assert secret not in shown and (len(secret) < 12 or base64_of(secret)[4:-8] not in shown), shown
    assert redact_text("bucket thanos-1 in S3") == "bucket thanos-1 in S3"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("host", "db.monitoring.svc.cluster.local:5432"),
        ("username", "monitoring"),
        ("username", "prometheus-operator"),
        ("email", "kim.lee@example.org"),
        ("url", "https://s3.eu-central-1.example.org"),
        ("bucket", "thanos-blocks-2026"),
        ("path", "/var/lib/app2/data"),
        ("port", "5432"),
        ("password", "changeme"),
        ("ca.crt", "-----BEGIN CERTIFICATE-----\nMIIBx9Zq\n-----END CERTIFICATE-----"),
        ("region", "eu-central-1"),
    ],
)
def test_names_and_addresses_are_no_secrets_wherever_they_stand(key: str, value: str) -> None:
    knownsecrets.learn(key, value)
    text = f"dial {value} failed"
    assert redact_text(text) == text
