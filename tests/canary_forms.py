# SPDX-License-Identifier: Apache-2.0
"""How secrets stand in texts: two hundred forms, each with a place for a token that nobody else uses."""

from __future__ import annotations

import base64
import secrets
import string

COMMANDS = {
    "mysql -p": "mysql -h db -u root -p{t} app < dump.sql",
    "mysqldump": "mysqldump --single-transaction -uroot -p{t} app",
    "sshpass": "sshpass -p {t} ssh kim@host",
    "redis-cli": "redis-cli -h cache -a {t} ping",
    "docker login": "docker login -u kim -p {t} registry.example",
    "helm registry login": "helm registry login r.example --username kim --password {t}",
    "curl user": "curl -u kim:{t} https://x.example/",
    "curl long user": "curl --user kim:{t} https://x.example/",
    "curl header": "curl -H 'Authorization: Bearer {t}' https://x.example",
    "curl token header": "curl -H 'PRIVATE-TOKEN: {t}' https://git.example/api",
    "curl api key": 'curl -H "X-Api-Key: {t}" https://x.example',
    "wget": "wget --http-user=kim --http-password={t} https://x.example",
    "set env": "kubectl set env deployment/web DB_PASSWORD={t} --record=true",
    "set env pwd": "kubectl set env deployment/web MYSQL_PWD={t}",
    "set env key": "kubectl set env deployment/web SIGNING_KEY={t}",
    "set env pat": "kubectl set env deployment/web GITHUB_PAT={t}",
    "create secret": "kubectl create secret generic db --from-literal=value={t}",
    "helm set": "helm upgrade app ./chart --set auth.adminPassword={t} --reuse-values",
    "helm set token": "helm upgrade app ./chart --set-string github.token={t},replicas=3",
    "flag": "app --db-password {t} --verbose",
    "flag token": "app --api-token {t}",
    "flag =": "app --client-secret={t}",
    "flag quoted": "app --password '{t}'",
    "attached": "backup -p{t} --all",
    "env before": "PGPASSWORD={t} psql -h db app",
    "export": "export AWS_SECRET_ACCESS_KEY={t} && terraform apply",
    "openssl": "openssl enc -aes-256-cbc -pass pass:{t}",
    "sql": "CREATE USER app IDENTIFIED BY '{t}';",
    "sql password": "ALTER ROLE app WITH PASSWORD '{t}'",
    "redis conf": "redis-server --requirepass {t}",
    "netrc": "machine git.example login kim password {t}",
    "git": "git clone https://kim:{t}@git.example/app.git",
    "git token": "git clone https://oauth2:{t}@git.example/app.git",
    "argocd": "argocd login cd.example --username admin --password {t}",
    "az": "az login --service-principal -u app -p {t} --tenant x",
    "vault": "VAULT_TOKEN={t} vault kv get secret/x",
}
STRINGS = {
    "url": "postgres://app:{t}@db:5432/app",
    "url redis": "redis://:{t}@cache:6379/0",
    "url amqp": "amqp://app:{t}@mq:5672/%2f",
    "url mongo": "mongodb+srv://app:{t}@cluster.example/db?retryWrites=true",
    "go dsn": "app:{t}@tcp(db:3306)/app?parseTime=true",
    "ado": "Server=db;Database=app;User Id=app;Password={t};Encrypt=true",
    "ado pwd": "Server=db;Uid=app;Pwd={t};",
    "jdbc": "jdbc:mysql://db:3306/app?user=app&password={t}",
    "odbc": "Driver=PG;Server=db;UID=app;PWD={t}",
    "azure": "DefaultEndpointsProtocol=https;AccountName=x;AccountKey={t};EndpointSuffix=core.windows.net",
    "service bus": "Endpoint=sb://x.example/;SharedAccessKeyName=a;SharedAccessKey={t}",
    "sas": "https://x.blob.example/c?sv=2022&sr=b&sig={t}&se=2030",
    "s3 signature": "https://b.s3.example/x?X-Amz-Algorithm=AWS4&X-Amz-Signature={t}",
    "s3 token": "https://b.s3.example/x?X-Amz-Security-Token={t}&x=1",
    "gcs signature": "https://storage.example/x?X-Goog-Signature={t}",
    "query token": "GET /x?access_token={t}&page=2 HTTP/1.1",
    "query key": "GET /maps?key={t}&v=3",
    "query apikey": "https://x.example/?apikey={t}",
    "slack": "https://hooks.slack.com/services/T0/B0/{t}",
    "discord": "https://discord.com/api/webhooks/1/{t}",
    "bearer": "Authorization: Bearer {t}",
    "basic": "Authorization: Basic {t}",
    "token scheme": "Authorization: Token {t}",
    "apikey scheme": "Authorization: ApiKey {t}",
    "digest": 'Authorization: Digest username="kim", realm="x", response="{t}"',
    "proxy auth": "Proxy-Authorization: Basic {t}",
    "cookie": "Cookie: session={t}; theme=dark",
    "set-cookie": "Set-Cookie: sid={t}; HttpOnly",
    "x-auth-token": "X-Auth-Token: {t}",
    "json": '{{"user":"kim","password":"{t}"}}',
    "json token": '{{"level":"error","token":"{t}","msg":"x"}}',
    "json camel": '{{"clientSecret":"{t}"}}',
    "json key": '{{"accountKey": "{t}"}}',
    "escaped json": '{{\\"apiKey\\":\\"{t}\\",\\"a\\":1}}',
    "escaped json password": 'msg="{{\\"user\\":\\"kim\\",\\"password\\":\\"{t}\\"}}"',
    "doubly escaped json": '{{\\\\\\"secret\\\\\\":\\\\\\"{t}\\\\\\"}}',
    "python": "{{'password': '{t}', 'host': 'db'}}",
    "logfmt": "level=error password={t} user=kim",
    "logfmt quoted": 'level=error secret="{t}" user=kim',
    "yaml": "db:\n  password: {t}\n  host: db",
    "yaml quoted": "apiKey: '{t}'",
    "env list": '{{"name":"DB_PASSWORD","value":"{t}"}}',
    "env yaml": "- name: API_TOKEN\n  value: {t}",
    "ini": "[db]\npasswd = {t}\n",
    "properties": "spring.datasource.password={t}",
    "toml": 'secret_key = "{t}"',
    "xml": "<config><password>{t}</password></config>",
    "docker config": '{{"auths":{{"r.example":{{"auth":"{t}"}}}}}}',
    "pair key": "ENCRYPTION_KEY={t}",
    "pair pat": "AZURE_PAT={t}",
    "pair creds": "credentials={t}",
    "pair dsn": "SENTRY_DSN={t}",
    "passphrase": "passphrase: {t}",
    "objstore": "config:\n  access_key: a\n  secret_key: {t}",
    "hidden in a sentence": "could not log in with password={t}, will try again",
    "comma inside": "password={t},more",
    "tls key": "tls.key: {t}",
}
SHAPES = {
    "ghp": "ghp_{t}",
    "gho": "gho_{t}",
    "ghs": "ghs_{t}",
    "github_pat": "github_pat_11{t}",
    "glpat": "glpat-{t}",
    "gldt": "gldt-{t}",
    "xoxb": "xoxb-1-2-{t}",
    "xapp": "xapp-1-{t}",
    "hvs": "hvs.{t}",
    "npm": "npm_{t}",
    "pypi": "pypi-{t}",
    "dckr": "dckr_pat_{t}",
    "sk": "sk-{t}",
    "sk-proj": "sk-proj-{t}",
    "sk_live": "sk_live_{t}",
    "whsec": "whsec_{t}",
    "google": "AIzaSy{t}",
    "ya29": "ya29.{t}",
    "gocspx": "GOCSPX-{t}",
    "sendgrid": "SG.{t}.{t}",
    "shopify": "shpat_{t}",
    "digitalocean": "dop_v1_{t}",
    "huggingface": "hf_{t}",
    "grafana": "glsa_{t}",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{t}",
    "pem": "-----BEGIN RSA PRIVATE KEY-----\n{t}\n-----END RSA PRIVATE KEY-----",
    "pem cut": "-----BEGIN PRIVATE KEY-----\n{t}",
    "pem openssh": "-----BEGIN OPENSSH PRIVATE KEY-----\\n{t}\\n-----END OPENSSH PRIVATE KEY-----",
    "pgp": "-----BEGIN PGP PRIVATE KEY BLOCK-----\n{t}\n-----END PGP PRIVATE KEY BLOCK-----",
}
AROUND = {
    "in a sentence": "the request with {f} was refused: 403",
    "in a URL path": "GET https://x.example/v1/{f}/x failed",
    "in quotes": 'started with "{f}"',
    "in JSON": '{{"a":"{f}"}}',
}
SENTENCES = {"failed": "dial failed: {f}", "after a time": "2026-11-29T12:00:00Z error {f}"}


def token() -> str:
    """A word that stands nowhere else, with letters of either case and digits: no filter for digests hides it by chance."""
    return "Zq" + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(24)) + "7xW"


def forms() -> dict[str, str]:
    """All of them by their names; ``{t}`` stands for the token."""
    found = {f"command: {name}": text for name, text in COMMANDS.items()}
    found |= {f"text: {name}": text for name, text in STRINGS.items()}
    for around, frame in AROUND.items():
        found |= {
            f"shape: {name}, {around}": frame.replace("{f}", text)
            for name, text in SHAPES.items()
            if around != "in a URL path" or "-----" not in text
        }
    for around, frame in SENTENCES.items():
        found |= {
            f"text: {name}, {around}": frame.replace("{f}", text) for name, text in STRINGS.items() if "\n" not in text
        }
    return found


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
