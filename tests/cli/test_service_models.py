"""The quick loader of botocore's models, and the end of a command."""

import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import DataNotFoundError, UnknownServiceError
from botocore.loaders import create_loader

from enroll.service_models import ServiceModels
from enroll.stack import client_of
from tests.support.command_line import run

MODEL = '{"version": "2.0", "metadata": {"serviceId": "Own", "protocol": "json"}, "operations": {}, "shapes": {}}'


@pytest.mark.parametrize("service", ["cloudformation", "events", "lambda", "logs", "sqs", "sts"])
@pytest.mark.parametrize("type_name", ["service-2", "endpoint-rule-set-1"])
def test_models_are_those_of_botocore(service: str, type_name: str) -> None:
    quick, slow = ServiceModels.of_path(None), create_loader(None)
    assert quick.load_service_model(service, type_name) == slow.load_service_model(service, type_name)


def test_clients_of_commands_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setattr(create_loader(None).__class__, "list_available_services", None)
    assert client_of("sqs").meta.service_model.service_name == "sqs"


def test_models_of_aws_data_path_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "own" / "2026-01-01"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text(MODEL)
    assert ServiceModels.of_path(f"{tmp_path}/missing:{tmp_path}").load_service_model("own", "service-2")["metadata"]


def test_unknown_services_and_models_are_refused() -> None:
    models = ServiceModels.of_path(None)
    with pytest.raises(UnknownServiceError):
        models.load_service_model("nope", "service-2")
    with pytest.raises(DataNotFoundError):
        models.load_service_model("sqs", "nope-1")


def test_a_piped_answer_is_complete_at_the_end_of_the_program() -> None:
    program = Path(sys.executable).with_name("enroll")
    answer = subprocess.run([program, "catalog", "--json"], capture_output=True, text=True, check=True, timeout=120)
    assert answer.stdout == run("catalog", "--json").stdout
    assert answer.stderr == ""
