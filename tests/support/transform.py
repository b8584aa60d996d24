"""Print a template as CloudFormation transforms it. Run it in the environment of aws-sam-cli, which has the transform.

    .venv-sam/bin/python tests/support/transform.py template.yaml

The transform accepts code in S3 only, so the folders are replaced with an S3 address.
"""

import json
import sys
from pathlib import Path
from typing import Any

from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

CODE = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}


def main() -> None:
    template: dict[str, Any] = yaml_parse(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for resource in template["Resources"].values():
        if (name := CODE.get(resource["Type"])) is not None:
            resource["Properties"][name] = {"Bucket": "code", "Key": "code.zip"}
    # Managed policies of AWS are not referred to by name, so that no IAM client is needed to load them.
    print(json.dumps(transform(template, {}, ManagedPolicyLoader(None))))


if __name__ == "__main__":
    main()
