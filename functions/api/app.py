from enrollment.entrypoints.http_api.handler import api_handler

handler = api_handler()
