from enrollment.api.handler import api_handler

handler = api_handler()
