"""No secret is written anywhere, and nothing is sent in clear."""

import re
from pathlib import Path

import pytest
import yaml

from enrollment.adapters import aws_clients as clients
from tests.support.aws import REGION
from tests.support.template import DEFAULTS, FUNCTIONS, TEMPLATE, values_of

ROOT = Path(__file__).parents[2]
FOLDERS = ("cli", "docs", "events", "functions", "layers", "tests")
TEXTS = sorted(
    path
    for path in (*ROOT.iterdir(), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*")))
    if path.is_file() and path.suffix in {".py", ".json", ".yaml", ".toml", ".md", ".txt", ".in", ".svg", ""}
)

# Forms that credentials have, and no other text.
SECRETS = re.compile(
    r"(?:AKIA|ASIA)[0-9A-Z]{16}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|gh[pousr]_[A-Za-z0-9]{36}"
    r"|xox[abprs]-[0-9A-Za-z-]{10,}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"
    r"|(?i:(?:secret|password|token|api_?key)[a-z_]*[\"']?\s*[:=]\s*[\"'][A-Za-z0-9/+_=-]{20,}[\"'])"
)


def test_no_file_contains_a_secret() -> None:
    assert len(TEXTS) > 200
    found = {
        str(path.relative_to(ROOT)): match.group()
        for path in TEXTS
        if (match := SECRETS.search(path.read_text(encoding="utf-8", errors="replace")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "text",
    ["AKIA" + "A" * 16, "-----BEGIN RSA " + "PRIVATE KEY-----", 'client_secret = "' + "a1" * 12 + '"'],
)
def test_a_secret_would_be_found(text: str) -> None:
    assert SECRETS.search(f"x {text} y")


def test_the_audit_checks_every_template() -> None:
    # `make docs` copies examples to build/.
    folders = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "build"))]
    found = [*ROOT.glob("*.yaml"), *(path for folder in folders for path in folder.rglob("*.yaml"))]
    templates = {
        str(path.relative_to(ROOT)) for path in found if re.search(r"^\s+Type: AWS::", path.read_text("utf-8"), re.M)
    }
    assert templates >= {"template.yaml", "templates/alarms/table.yaml"}
    audited = yaml.safe_load((ROOT / ".checkov.yaml").read_text("utf-8"))["file"]
    assert set(audited) == templates


def test_the_template_takes_and_gives_no_secret() -> None:
    """A secret would be a parameter with NoEcho, a dynamic reference to a secret, or an environment variable."""
    assert not list(values_of(TEMPLATE, "NoEcho"))
    assert "{{resolve:" not in str(TEMPLATE)
    names = {
        name
        for function in [DEFAULTS, *FUNCTIONS.values()]
        for names in values_of(function, "Variables")
        for name in names
    }
    assert not [name for name in names if re.search("SECRET|TOKEN|PASSWORD|CREDENTIAL|_KEY", name)]


@pytest.mark.parametrize("service", ["dynamodb", "sqs", "events"])
def test_clients_speak_tls(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    client = getattr(clients, service)(clients.open_session(), region_name=REGION)
    assert client.meta.endpoint_url.startswith("https://")
    assert client._endpoint.http_session._verify
