"""moto's server in a separate process: on the loopback interface and a free port, which it prints.

It is not atomic between threads, so it answers one request at a time. Then its conditions are exact.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


def one_at_a_time(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    lock = threading.Lock()

    def answer(environment: Any, start_response: Any) -> Iterable[bytes]:
        with lock:
            return list(application(environment, start_response))

    return answer


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    application = one_at_a_time(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True)
    print(server.port, flush=True)
    server.serve_forever()
