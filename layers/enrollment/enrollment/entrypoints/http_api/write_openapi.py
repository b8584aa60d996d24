"""Write the OpenAPI document to a file.

python -m enrollment.entrypoints.http_api.write_openapi docs/openapi.json
"""

import json
import sys
from pathlib import Path

from enrollment.entrypoints.http_api.routes import openapi_document


def openapi_text() -> str:
    """Return the content of docs/openapi.json."""
    return json.dumps(openapi_document(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m enrollment.entrypoints.http_api.write_openapi <file>")
    Path(sys.argv[1]).write_text(openapi_text(), encoding="utf-8")
